/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload of the accelerator probe: a boot sector that reaches 64-bit mode with paging, loops, asks cpuid, drops to
 * ring 3, comes back by a software interrupt and ends QEMU through isa-debug-exit with 0x31 (exit status 99).
 * accelerator.py holds the assembled bytes; tests/unit/compute compares them where an assembler is installed:
 *     as --64 -o long_mode.o long_mode.S && ld -Ttext 0x7c00 --oformat binary -o long_mode.bin long_mode.o
 */
.code16
.globl _start
_start:
 cli
 xorw %ax,%ax
 movw %ax,%ds
 movw %ax,%es
 movw %ax,%ss
 movw $0x7000,%sp
 /* A20 fast */
 inb $0x92,%al
 orb $2,%al
 outb %al,$0x92
 /* zero 0x9000-0xcfff (page tables) */
 movw $0x9000,%di
 movw $0x2000,%cx
 xorw %ax,%ax
 cld
 rep stosw
 movl $0xa007,0x9000
 movl $0xb007,0xa000
 movl $0x87,0xb000          /* 2 MiB page, user+rw+present */
 lgdtl gdtr
 movl $0x20,%eax            /* PAE */
 movl %eax,%cr4
 movl $0x9000,%eax
 movl %eax,%cr3
 movl $0xc0000080,%ecx
 rdmsr
 orl $0x100,%eax
 wrmsr
 movl $0x80000001,%eax
 movl %eax,%cr0
 ljmpl $0x08,$lm
.code64
lm:
 movl $0x10,%eax
 movl %eax,%ds
 movl %eax,%es
 movl %eax,%ss
 movl $0x6f00,%esp
 /* IDT at 0xc000: vector 3 and 0x80 */
 movl $0xc000,%edi
 leaq isr(%rip),%rax
 movw %ax,0x800(%rdi)
 movl $0xee000008,0x802(%rdi)
 movw $0,0x806(%rdi)
 lidt idtr
 movl $0xd000,%eax
 /* TSS at 0xd000: rsp0 */
 movq $0x6800,0xd004
 movl $0x28,%eax
 ltr %ax
 movl $200000,%ecx
1: addq %rcx,%rdx
 loop 1b
 xorl %eax,%eax
 cpuid
 /* ring 3 */
 pushq $0x23
 pushq $0x6600
 pushq $0x2
 pushq $0x1b
 leaq user(%rip),%rax
 pushq %rax
 iretq
user:
 movl $0x5a5a,%ebx
 int $0x80
2: jmp 2b
isr:
 movb $0x31,%al
 cmpl $0x5a5a,%ebx
 je 3f
 movb $0x32,%al
3: outb %al,$0xf4
 hlt
 jmp 3b
.balign 8
gdt:
 .quad 0
 .quad 0x00af9a000000ffff
 .quad 0x00cf92000000ffff
 .quad 0x00affa000000ffff
 .quad 0x00cff2000000ffff
 .byte 0x67,0,0,0xd0,0,0x89,0,0
 .quad 0
gdtr: .word gdtr-gdt-1
 .long gdt
idtr: .word 0xfff
 .quad 0xc000
.org 510
.word 0xaa55
