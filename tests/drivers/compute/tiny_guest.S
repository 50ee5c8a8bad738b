/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest in one sector: writes "ready" to its serial port, hears its power button (ACPI, PIIX4) and lets go of devices
 * that are unplugged. compute_lab.py holds the assembled bytes:
 *     as --32 -o guest.o tiny_guest.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.bin guest.o
 */
.code16
.globl _start
_start:
 cli
 xorw %ax, %ax
 movw %ax, %ds
 movw $0x602, %dx         /* power management events: let the power button tell */
 movw $0x100, %ax
 outw %ax, %dx
 movw $words, %si
 movw $0x3f8, %dx
 cld
1: lodsb
 testb %al, %al
 jz watch
 outb %al, %dx
 jmp 1b
watch:
 movw $0x600, %dx
 inw %dx, %ax
 testb $1, %ah
 jnz off
 movw $0xae10, %dx        /* hot-plug: bus 0 */
 xorl %eax, %eax
 outl %eax, %dx
 movw $0xae04, %dx        /* which slots are to go */
 inl %dx, %eax
 testl %eax, %eax
 jz watch
 movw $0xae08, %dx
 outl %eax, %dx
 jmp watch
off:
 movw $0x604, %dx         /* sleep state S5 */
 movw $0x2000, %ax
 outw %ax, %dx
 hlt
words: .asciz "ready\r\n"
.org 510
.word 0xaa55
