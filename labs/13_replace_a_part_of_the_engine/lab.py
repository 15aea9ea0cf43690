# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Capstone · Replace a part of the engine
#
# Everything that you have used in this course is Python that you can read: the engine behind `%container` has no secret
# part. In this last lab you write two of its functions anew. They are graded as every change to the engine is: **by the
# engine's own tests**, with your function in the place of the old one. And at the end a container starts with them.
#
# **You need** the course as far as notebook 07, and you should have used exceptions in Python before. **It takes** an
# hour and a half.
#
# You may look at how the engine does it (`%psource` shows the source of anything). You will learn more if you look only
# when the tests pass, and compare.
#
# *Expect:* a green card with the three tasks.

# %%
# %load_ext toolkit
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# ## Task 1: what does 512m mean?
#
# People type sizes: `--memory 512m`, `1.5g`, `64MiB`. The engine needs a number of bytes. The rule is docker's:
#
# - a number, which may have a decimal point: `512`, `1.5`, `.5`
# - then perhaps one letter of `b k m g t p`, which stands for 1, 1024, 1024², ... bytes; large or small
# - after a letter other than `b` perhaps a `b` or an `ib`, which mean nothing: `kb` and `KiB` are `k`
# - blanks around it do not matter
# - anything else is refused: with an `InvalidError` whose message is `invalid size: '<the text>'` and whose hint is
#   `write it as 512m, 1.5g or a number of bytes`. A size is never negative, infinite or "not a number".
#
# Write `parse_bytes`, which takes a text and returns an `int`. Fractions of a byte are cut off.


# %% solution="parse_bytes"
def parse_bytes(text):
    ### BEGIN SOLUTION
    refusal = InvalidError(f"invalid size: '{text}'", hint="write it as 512m, 1.5g or a number of bytes")
    number = text.strip().lower()
    for tail in ("ib", "b"):
        if number.endswith(tail) and number[: -len(tail)][-1:] in tuple("kmgtp"):
            number = number.removesuffix(tail)
            break
    factor = 1
    if number[-1:] in tuple("bkmgtp"):
        factor = 1024 ** "bkmgtp".index(number[-1])
        number = number[:-1]
    if not (number[:1].isdigit() or number[:1] == "."):
        raise refusal
    try:
        return int(float(number) * factor)
    except (ValueError, OverflowError):
        raise refusal from None
    ### END SOLUTION


# %% [markdown]
# The next cell writes your function into `sizes.py`. Try it first yourself; *expect:* `536870912`.

# %%
from toolkit.core.errors import InvalidError

lab.write_module("sizes.py", parse_bytes, imports="from toolkit.core.errors import InvalidError")
parse_bytes("512m")

# %% [markdown]
# Now the engine's tests. The card names the first one that fails, and what it says. To see them all, look into the file
# that is printed: it is short, and a test is the most precise sentence about what a program should do.

# %%
from toolkit.lab.replacement import engine_test

engine_test("core/test_sizes.py")

# %% check="L13.1"
from toolkit.notebook.lab import check

check("L13.1")

# %% [markdown]
# ## Task 2: which powers does a container get?
#
# A set of capabilities is a number: bit *n* stands for capability number *n*, as the kernel itself keeps it.
# `parse(["CHOWN", "cap_kill"])` makes such a number of names, and complains about a name that is none; `names` is the
# way back.

# %%
from toolkit.linux.capability import ALL, DEFAULT, names, parse

print(f"{parse(['CHOWN', 'cap_kill']):b}", names(DEFAULT))

# %% [markdown]
# Write `tweak`, which computes the set that a container gets from its options:
#
# - `add` and `drop` are the values of `--cap-add` and `--cap-drop`: names in any spelling, or `ALL` (or `CAP_ALL`).
# - `privileged` (of `--privileged`): the container gets all that is available, whatever else is said.
# - `available` is what this machine can give at all, and the result is never more than that.
# - `default` is what a container has if nobody says anything.
#
# Otherwise: default, without what is dropped, with what is added; adding wins. `ALL` among the added means: all that is
# available, without what is dropped by name. `ALL` among the dropped: only what is added by name. If both say `ALL`,
# adding wins.
#
# Whoever adds by name what is not available gets an `UnsupportedError`: `this host cannot give a container <names>`,
# with the hint `it is missing from the bounding set of the engine itself`.


# %% solution="tweak"
def tweak(add=(), drop=(), *, privileged=False, available=ALL, default=DEFAULT):
    ### BEGIN SOLUTION
    if privileged:
        return available
    everything = ("ALL", "CAP_ALL")
    added = parse(name for name in add if name.upper() not in everything)
    dropped = parse(name for name in drop if name.upper() not in everything)
    if added & ~available:
        missing = ", ".join(names(added & ~available))
        message = f"this host cannot give a container {missing}"
        raise UnsupportedError(message, hint="it is missing from the bounding set of the engine itself")
    if any(name.upper() in everything for name in add):
        return available & ~dropped
    if any(name.upper() in everything for name in drop):
        return added
    return (default & ~dropped | added) & available
    ### END SOLUTION


# %% [markdown]
# *Expect:* `['CAP_CHOWN']`.

# %%
IMPORTS = """
from toolkit.core.errors import UnsupportedError
from toolkit.linux.capability import ALL, DEFAULT, names, parse
"""
lab.write_module("powers.py", tweak, imports=IMPORTS)
names(tweak(["chown"], ["ALL"]))

# %% check="L13.2"
from toolkit.notebook.lab import check

check("L13.2")

# %% [markdown]
# ## Task 3: your engine, live
#
# `engine.py`, beside this notebook, is the command `container` with your two functions in it: ten lines, of which two
# put them there. There is nothing for you to write in this task. If the tests are right, it works.
#
# *Expect:* `CapEff` with two bits (`0000000000002001`): CHOWN is number 0, and NET_RAW number 13.

# %%
import sys

# !{sys.executable} engine.py run --rm --memory 48m --cap-drop ALL --cap-add CHOWN --cap-add net_raw lab grep CapEff /proc/self/status

# %% check="L13.3"
from toolkit.notebook.lab import check

check("L13.3")

# %% [markdown]
# ## Go on from here
#
# 1. Compare with the engine's own: `import toolkit.core.units` and `%psource toolkit.core.units.parse_bytes`. Which of
#    the two is easier to read? Does yours refuse anything that the engine takes, or the other way round?
# 2. The engine has a test that tries sizes nobody has thought of (`tests/core/test_units.py`, *hypothesis*). Write one
#    for `tweak`: what is always true of its result?
# 3. Choose another function, and its tests. `toolkit/ARCHITECTURE.md` is the map.
#
# ## To read
#
# - [RAMInBytes in docker's go-units](https://pkg.go.dev/github.com/docker/go-units#RAMInBytes)
# - [TweakCapabilities in moby](https://github.com/moby/moby/blob/master/daemon/pkg/oci/caps/utils.go)
