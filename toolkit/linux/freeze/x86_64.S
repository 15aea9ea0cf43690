/* Two functions that change the memory in which their caller runs, and so use registers, the stack and what they are
 * given alone.  Assembled into toolkit/linux/frozen.py, where the tables are made; a test compares the two.
 *
 * long freeze(struct region *regions, int fd): write each region {address, bytes, offset, protection} into the file, then
 * map the file over each, privately; an address of 0 ends them.  Returns 0 or the error.
 */
        .globl freeze, sleep
freeze: push    %rbx
        push    %rbp
        mov     %rdi, %rbx                      /* rbx: region */
        mov     %rdi, %rbp
        mov     %esi, %edi                      /* edi: fd */
write:  mov     (%rbx), %rsi
        test    %rsi, %rsi
        jz      remap
        mov     8(%rbx), %rdx
        mov     16(%rbx), %r10
more:   mov     $18, %eax                       /* pwrite64(fd, address, bytes, offset) */
        syscall
        test    %rax, %rax
        jle     frozen
        add     %rax, %rsi
        add     %rax, %r10
        sub     %rax, %rdx
        jnz     more
        add     $32, %rbx
        jmp     write
remap:  mov     %edi, %r8d
map:    mov     (%rbp), %rdi
        xor     %eax, %eax
        test    %rdi, %rdi
        jz      frozen
        mov     8(%rbp), %rsi
        mov     24(%rbp), %edx
        mov     $0x12, %r10d
        mov     16(%rbp), %r9
        mov     $9, %eax                        /* mmap(address, bytes, protection, MAP_PRIVATE|MAP_FIXED, fd, offset) */
        syscall
        test    %rax, %rax
        js      frozen
        add     $32, %rbp
        jmp     map
frozen: pop     %rbp
        pop     %rbx
        ret
        .balign 128

/* long sleep(struct bed *bed): give back the memory that the bed lists, ppoll(2), have it all back.  Returns what
 * ppoll returns; where nothing has been given back, ENOSPC (too much differs), EBUSY (a signal has a handler, which
 * could not run), EIO, or the error of a read(2).
 *
 * A mapping {address, bytes, image, line, line_bytes} is given back if /proc/self/maps still has its line.  Where it
 * has an image the words of its private pages that differ are kept: {address | count << 48, word...}.
 */
        .set RECORDS, 0                         /* mappings, in order; an address of 0 ends them */
        .set TEXT, 8                            /* room for /proc/self/maps */
        .set TEXT_END, 16
        .set ENTRIES, 24                        /* room for 512 entries of /proc/self/pagemap */
        .set KEPT, 32                           /* room for what differs, and 8 bytes more */
        .set KEPT_END, 40
        .set PAGE_SHIFT, 48
        .set MAPS_FD, 56
        .set PAGEMAP_FD, 64
        .set FDS, 72                            /* what ppoll waits for */
        .set FD_COUNT, 80
        .set PATIENCE, 88                       /* a struct timespec, or NULL */
        .set ALL, 96                            /* all signals */
        .set MASK, 104                          /* the caller's mask is put here */
        .set ACTION, 112                        /* a struct sigaction */
        .set SPREAD, 144                        /* {address, bytes}, given back without a look at the maps: the room */
                                                /* for text and entries, and the image; an address of 0 ends them */
        .set USED, 184                          /* how many bytes have been kept is put here */
sleep:  push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rdi, %rbx                      /* rbx: bed */
        mov     $14, %eax                       /* rt_sigprocmask(SIG_BLOCK, all, mask, 8) */
        xor     %edi, %edi
        lea     ALL(%rbx), %rsi
        lea     MASK(%rbx), %rdx
        mov     $8, %r10d
        syscall
        mov     $1, %ebp
caught: mov     $13, %eax                       /* rt_sigaction(signal, NULL, action, 8) */
        mov     %ebp, %edi
        xor     %esi, %esi
        lea     ACTION(%rbx), %rdx
        mov     $8, %r10d
        syscall
        mov     $-16, %rax                      /* EBUSY */
        cmpq    $1, ACTION(%rbx)                /* SIG_DFL is 0, SIG_IGN 1 */
        ja      up
        inc     %ebp
        cmp     $64, %ebp
        jbe     caught
        mov     TEXT(%rbx), %r15                /* r15: the end of the text */
look:   mov     $-28, %rax                      /* ENOSPC */
        mov     TEXT_END(%rbx), %rdx
        sub     %r15, %rdx
        jbe     up
        xor     %eax, %eax                      /* read(maps, r15, rdx) */
        mov     MAPS_FD(%rbx), %edi
        mov     %r15, %rsi
        syscall
        test    %rax, %rax
        js      up
        add     %rax, %r15
        test    %rax, %rax
        jnz     look

        mov     RECORDS(%rbx), %r13             /* r13: mapping */
        mov     TEXT(%rbx), %r14                /* r14: its line, or one before it */
        mov     KEPT(%rbx), %r12                /* r12: where the next word is kept */
region: mov     (%r13), %rbp                    /* rbp: address */
        test    %rbp, %rbp
        jz      packed
        cmpq    $0, 16(%r13)
        je      beyond
        call    find
        jne     beyond
chunk:  mov     (%r13), %rdx
        add     8(%r13), %rdx
        sub     %rbp, %rdx
        jz      beyond
        mov     PAGE_SHIFT(%rbx), %ecx
        shr     %cl, %rdx
        mov     $512, %eax
        cmp     %rax, %rdx
        cmova   %rax, %rdx
        shl     $3, %rdx
        mov     %rbp, %r10
        shr     %cl, %r10
        shl     $3, %r10
        mov     $17, %eax                       /* pread64(pagemap, entries, 8 * pages, 8 * first) */
        mov     PAGEMAP_FD(%rbx), %edi
        mov     ENTRIES(%rbx), %rsi
        syscall
        cmp     %rdx, %rax
        mov     $-5, %rax                       /* EIO */
        jne     up
        mov     ENTRIES(%rbx), %r8              /* r8: entry, up to r9 */
        lea     (%r8,%rdx), %r9
page:   mov     (%r8), %rax
        add     $8, %r8
        mov     PAGE_SHIFT(%rbx), %ecx
        mov     $1, %edi
        shl     %cl, %rdi
        add     %rbp, %rdi                      /* rdi: the end of the page */
        bt      $61, %rax                       /* the file's */
        jc      turn
        shr     $62, %rax                       /* present, or in swap */
        jz      turn
        mov     %rbp, %rsi
        sub     (%r13), %rsi
        add     16(%r13), %rsi                  /* rsi: the same word in the image */
same:   mov     (%rbp), %rax
        cmp     (%rsi), %rax
        jne     differ
        add     $8, %rbp
        add     $8, %rsi
        cmp     %rdi, %rbp
        jb      same
        jmp     turn
differ: mov     %r12, %r11                      /* r11: head of this run of words */
        mov     %rbp, (%r12)
        add     $8, %r12
keep:   cmp     KEPT_END(%rbx), %r12
        jae     full
        mov     %rax, (%r12)
        add     $8, %r12
        add     $8, %rbp
        add     $8, %rsi
        cmp     %rdi, %rbp
        jae     close
        mov     (%rbp), %rax
        cmp     (%rsi), %rax
        jne     keep
close:  lea     -8(%r12), %rcx
        sub     %r11, %rcx
        shl     $45, %rcx                       /* 8 bytes are one word: << 48 >> 3 */
        or      %rcx, (%r11)
        cmp     %rdi, %rbp
        jb      same
turn:   mov     %rdi, %rbp
        cmp     %r9, %r8
        jb      page
        jmp     chunk
beyond: add     $40, %r13
        jmp     region
full:   mov     $-28, %rax                      /* ENOSPC */
        jmp     up

packed: mov     %r12, %rax
        sub     KEPT(%rbx), %rax
        mov     %rax, USED(%rbx)
        mov     RECORDS(%rbx), %r13
        mov     TEXT(%rbx), %r14
give:   mov     (%r13), %rdi
        test    %rdi, %rdi
        jz      given
        call    find
        jne     past
        mov     (%r13), %rdi
        mov     8(%r13), %rsi
        call    drop
past:   add     $40, %r13
        jmp     give
given:  mov     PAGE_SHIFT(%rbx), %ecx          /* the stack below us: no mapping may be within 1 MB of a stack */
        mov     %rsp, %rdi
        shr     %cl, %rdi
        shl     %cl, %rdi
        mov     $0x80000, %esi
        sub     %rsi, %rdi
        call    drop
        lea     SPREAD(%rbx), %r13
spread: mov     (%r13), %rdi
        test    %rdi, %rdi
        jz      doze
        mov     8(%r13), %rsi
        call    drop
        add     $16, %r13
        jmp     spread
doze:   mov     $271, %eax                      /* ppoll(fds, count, patience, mask, 8) */
        mov     FDS(%rbx), %rdi
        mov     FD_COUNT(%rbx), %esi
        mov     PATIENCE(%rbx), %rdx
        lea     MASK(%rbx), %r10
        mov     $8, %r8d
        syscall
        mov     %rax, %rbp
        mov     KEPT(%rbx), %rsi
back:   cmp     %r12, %rsi
        jae     awake
        mov     (%rsi), %rcx
        add     $8, %rsi
        mov     %rcx, %rdi
        shl     $16, %rdi
        shr     $16, %rdi
        shr     $48, %rcx
        rep movsq
        jmp     back
awake:  mov     KEPT(%rbx), %rdi
        mov     KEPT_END(%rbx), %rsi
        sub     %rdi, %rsi
        call    drop
        mov     %rbp, %rax
up:     mov     %rax, %rbp
        mov     $14, %eax                       /* rt_sigprocmask(SIG_SETMASK, mask, NULL, 8) */
        mov     $2, %edi
        lea     MASK(%rbx), %rsi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
        mov     %rbp, %rax
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

drop:   mov     $28, %eax                       /* madvise(rdi, rsi, MADV_DONTNEED) */
        mov     $4, %edx
        syscall
        ret

find:   mov     %r14, %rdx                      /* is the line of mapping r13 in the text from r14 to r15? then r14 is there */
line:   cmp     %r15, %rdx
        jae     gone
        mov     24(%r13), %rsi
        mov     32(%r13), %rcx
        mov     %rdx, %rdi
        repe cmpsb
        je      found
skip:   cmpb    $10, (%rdx)                     /* to the next line */
        lea     1(%rdx), %rdx
        jne     skip
        jmp     line
found:  mov     %rdx, %r14
        ret
gone:   or      $1, %edx                        /* not equal */
        ret
