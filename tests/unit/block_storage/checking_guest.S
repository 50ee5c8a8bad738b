/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest in one sector that writes the 1024 sectors behind it over and over, without end, and tells every 16th write
 * that it was told to be done with a dot on its serial port. A sector holds the number of the write, the mark (the four
 * bytes before the last two of the first sector), and 126 numbers that follow from both. support/writing_guest.py holds the
 * assembled bytes:
 *     as --32 -o guest.o checking_guest.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.bin guest.o
 */
.code16
.globl _start
_start:
 xorw %ax, %ax
 movw %ax, %ds
 movw %ax, %es
 movw %ax, %ss
 movw $0x7c00, %sp
 movb %dl, drive
 movl $0, count
next:
 incl count
 cld
 movw $0x8000, %di
 movl count, %eax
 stosl
 movl mark, %eax
 stosl
 xorl count, %eax
 movw $126, %cx
1: imull $1664525, %eax, %eax
 addl $1013904223, %eax
 stosl
 loop 1b
 movl count, %eax
 decl %eax
 andl $1023, %eax
 incl %eax
 movl %eax, sector
again:
 movw $packet, %si
 movb drive, %dl
 movw $0x4300, %ax        /* extended write */
 int $0x13
 jc failed
 testb $15, count
 jnz next
 movb $'.', %al
 call tell
 jmp next
failed:
 movb $'!', %al
 call tell
 jmp again
tell:
 movw $0x3f8, %dx
 outb %al, %dx
 ret
drive: .byte 0
.align 4
count: .long 0
packet: .byte 16, 0
 .word 1                  /* one sector */
 .word 0x8000, 0          /* from this offset and segment */
sector: .long 0, 0
.org 506
mark: .long 0
.word 0xaa55
