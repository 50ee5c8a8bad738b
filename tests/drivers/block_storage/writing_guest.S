/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest in one sector that writes each of the next 1024 sectors of its own disk, the number of the sector in its first
 * four bytes, tells every 16th with a dot on its serial port, and "done" in the end. support/writing_guest.py holds the
 * assembled bytes:
 *     as --32 -o guest.o writing_guest.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.bin guest.o
 */
.code16
.globl _start
_start:
 xorw %ax, %ax
 movw %ax, %ds
 movw %ax, %ss
 movw $0x7c00, %sp
 movb %dl, drive
 movl $0, count
next:
 incl count
 movl count, %eax
 movl %eax, 0x8000
 movl %eax, sector
again:
 movw $packet, %si
 movb drive, %dl
 movw $0x4300, %ax        /* extended write */
 int $0x13
 jc failed
 movl count, %eax
 testb $15, %al
 jnz 1f
 movb $'.', %al
 call tell
1: cmpl $1024, count
 jb next
 movw $words, %si
2: lodsb
 testb %al, %al
 jz 3f
 call tell
 jmp 2b
3: cli
 hlt
 jmp 3b
failed:
 movb $'!', %al
 call tell
 jmp again
tell:
 movw $0x3f8, %dx
 outb %al, %dx
 ret
words: .asciz "done\r\n"
drive: .byte 0
.align 4
count: .long 0
packet: .byte 16, 0
 .word 1                  /* one sector */
 .word 0x8000, 0          /* from this offset and segment */
sector: .long 0, 0
.org 510
.word 0xaa55
