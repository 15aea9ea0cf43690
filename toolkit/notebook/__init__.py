"""The engine in Jupyter: `%container`, `%%container`, values that show themselves, figures.

    %load_ext toolkit
    c = %container run -d lab sleep 60
    c.pid, c.logs()

One grammar: the words after `%container` go through the command line's own
parser and its own code, in this process.  Nothing in here talks to the kernel
or to the engine's files; what a figure shows was read through `linux/` and
`engine/`.
"""
