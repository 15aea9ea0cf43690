/* Freezes four pages, changes some of their words, sleeps for a millisecond, and ends with 0 if all is as it was and what
 * had changed and changed back is the file's again.  All addresses are fixed, so that the tables can be written down.
 */
        .set AREA, 0x10000000
        .set ROOM, 0x20000000
        .set IMAGE, 0x30000000
        .globl _start
_start: mov     x0, #AREA
        mov     x1, #0x4000
        mov     x2, #3
        mov     x3, #0x32
        mov     x4, #-1
        mov     x5, #0
        bl      map
        mov     x0, #AREA                       /* each word is its own address */
        mov     x1, #0x800
fill:   str     x0, [x0]
        add     x0, x0, #8
        subs    x1, x1, #1
        b.ne    fill
        mov     x0, #ROOM
        mov     x1, #0x20000
        mov     x4, #-1
        bl      map
        mov     x8, #279                        /* memfd_create("frozen", 0) */
        adr     x0, name
        mov     x1, #0
        svc     #0
        mov     w28, w0
        mov     x8, #46                         /* ftruncate */
        mov     x1, #0x10000
        svc     #0
        adr     x0, regions
        mov     w1, w28
        bl      freeze
        mov     w27, #11
        cbnz    x0, fail
        mov     x0, #IMAGE
        mov     x1, #0x10000
        mov     x2, #1
        mov     x3, #0x12
        mov     w4, w28
        bl      map
        adr     x26, bed
        adr     x1, maps
        bl      open
        str     x0, [x26, #56]
        adr     x1, pagemap
        bl      open
        str     x0, [x26, #64]
        mov     w28, w0
        mov     x0, #AREA
        str     x28, [x0]                       /* the first word, the last of a page, a run, the last of all */
        str     x28, [x0, #0xff8]
        add     x0, x0, #0x1000
        stp     x28, x28, [x0, #64]
        stp     x28, x0, [x0, #80]
        add     x0, x0, #0x1000
        ldr     x1, [x0, #8]
        str     x28, [x0, #8]                   /* changed, and changed back */
        str     x1, [x0, #8]
        add     x0, x0, #0x1000
        str     x28, [x0, #0xff8]
        bl      entry
        mov     w27, #12
        tbnz    x0, #61, fail
        bl      hash
        mov     x25, x1
        mov     x0, x26
        bl      sleep
        mov     w27, #13
        cbnz    x0, fail                        /* the time was up */
        bl      hash
        mov     w27, #14
        cmp     x1, x25
        b.ne    fail
        ldr     x0, [x26, #184]
        mov     w27, #15
        cmp     x0, #16 + 16 + 40 + 16
        b.ne    fail
        bl      entry
        mov     w27, #16
        tbz     x0, #61, fail
        mov     w27, #0
fail:   mov     w0, w27
        mov     x8, #93
        svc     #0

map:    mov     x8, #222
        mov     x5, #0
        svc     #0
        ret
open:   mov     x8, #56                         /* openat(AT_FDCWD, path, O_RDONLY) */
        mov     x0, #-100
        mov     x2, #0
        svc     #0
        ret
hash:   mov     x0, #AREA
        mov     x2, #0x800
        mov     x1, #0
next:   ldr     x3, [x0], #8
        ror     x1, x1, #7
        add     x1, x1, x3
        subs    x2, x2, #1
        b.ne    next
        ret
entry:  mov     x8, #67                         /* pread64(pagemap): what is said of the third page */
        mov     w0, w28
        adr     x1, answer
        mov     x2, #8
        ldr     x3, third
        svc     #0
        ldr     x0, [x1]
        ret

        .balign 8
third:  .quad   (AREA + 0x2000) >> 9
name:   .asciz  "frozen"
maps:   .asciz  "/proc/self/maps"
pagemap: .asciz "/proc/self/pagemap"
line:   .ascii  "10000000-10004000 rw-p 00000000 "
line_end:
        .data
        .balign 8
answer: .quad   0
regions: .quad  AREA, 0x4000, 0, 3, 0
records: .quad  AREA, 0x4000, IMAGE, line, line_end - line, 0
soon:   .quad   0, 1000000
bed:    .quad   records, ROOM, ROOM + 0xf000, ROOM + 0xf000, ROOM + 0x10000, ROOM + 0x1fff8, 12, 0, 0
        .quad   0, 0, soon, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
