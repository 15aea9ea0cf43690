"""Live pictures: each a small Python class beside one ES module of the same name in `static/`.

    widgets/base.py       what all of them share: how the module is read, the static twin, deeds and answers
    static/base.js        the same for the front end
    static/widgets.css    the page's own colours, light and dark

A widget holds no facts of its own: it shows what an object of the engine says
(a stepper, a recording, a container) and passes on what the learner does.  Each
has a twin that needs no kernel and no front end, its `figure()`: that is what
GitHub, nbconvert and a test without a browser see.
"""
