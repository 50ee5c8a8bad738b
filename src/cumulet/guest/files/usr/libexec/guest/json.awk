# SPDX-License-Identifier: Apache-2.0
# awk -v key=NAME -f json.awk FILE: print the string under NAME, or each string in the object under NAME or in the objects of the
# list there, one a line.
{ text = text $0 " " }

END {
    depth = 0
    while (length(text)) {
        mark = substr(text, 1, 1)
        if (mark == "\"") {
            word = string()
            if (text ~ /^[ \t]*:/) {
                name[depth] = word
            } else if (depth <= 3 && name[1] == key) {
                print word
            }
            continue
        }
        if (mark == "{" || mark == "[") { depth++; name[depth] = "" }
        if (mark == "}" || mark == "]") depth--
        text = substr(text, 2)
    }
}

# Take the string at the head of `text` off it and return it with its escapes undone.
function string(    out, mark) {
    text = substr(text, 2)
    out = ""
    while (match(text, /["\\]/)) {
        out = out substr(text, 1, RSTART - 1)
        mark = substr(text, RSTART, 1)
        if (mark == "\"") { text = substr(text, RSTART + 1); return out }
        mark = substr(text, RSTART + 1, 1)
        text = substr(text, RSTART + 2)
        if (mark == "n") out = out "\n"
        else if (mark == "t") out = out "\t"
        else if (mark == "u") { out = out "?"; text = substr(text, 5) }
        else out = out mark
    }
    text = ""
    return out
}
