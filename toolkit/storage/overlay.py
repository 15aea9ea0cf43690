import os, shutil
from typing import NamedTuple
class RootFilesystem(NamedTuple):
    lower: tuple[str, ...]
    upper: str
    work: str
    options: tuple[str, ...]
    def prepare(self):
        os.makedirs(self.upper, exist_ok=True); os.makedirs(self.work, exist_ok=True)
        shutil.rmtree(self.work+"/work/incompat", ignore_errors=True)
    def read(self, path):
        for d in (self.upper,)+self.lower:
            try:
                return open(d+path).read()
            except FileNotFoundError: pass
        return ""
def root_filesystem(layers, directory, *, volatile):
    return RootFilesystem(tuple(reversed(layers)), directory+"/upper", directory+"/work", ("volatile",) if volatile else ())
def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)
