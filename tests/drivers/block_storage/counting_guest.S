/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest in one sector that counts without end, and writes each number to the first sector of its second disk, then to
 * that of its third one. test_group_snapshots.py holds the assembled bytes:
 *     as --32 -o guest.o counting_guest.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.bin guest.o
 */
.code16
.globl _start
_start:
 xorw %ax, %ax
 movw %ax, %ds
 movw %ax, %ss
 movw $0x7c00, %sp
 movl $0, 0x8000
next:
 incl 0x8000
 movb $0x81, %dl
 call put
 movb $0x82, %dl
 call put
 jmp next
put:
 movw $packet, %si
 movw $0x4300, %ax        /* extended write */
 pushw %dx
 int $0x13
 popw %dx
 jc put
 ret
.align 4
packet: .byte 16, 0
 .word 1                  /* one sector */
 .word 0x8000, 0          /* from this offset and segment */
 .long 0, 0               /* to the first sector */
.org 510
.word 0xaa55
