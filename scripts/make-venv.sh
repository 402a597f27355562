#!/bin/sh
# Make a virtual environment with Python 3.11 or newer: scripts/make-venv.sh FOLDER [PYTHON]
# Without PYTHON, the first of python3, python3.13, python3.12, python3.11, python that is new enough.
set -eu

folder=${1:?usage: scripts/make-venv.sh FOLDER [PYTHON]}
wanted=${2:-}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

python=
for candidate in ${wanted:-python3 python3.13 python3.12 python3.11 python}; do
  if is_new_enough "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  found=$("${wanted:-python3}" --version 2>/dev/null || echo "none")
  echo "napari-instseg needs Python 3.11 or newer; found: $found." >&2
  echo "Debian 12, Ubuntu 24.04 or newer:  apt-get install python3 python3-venv" >&2
  echo "Elsewhere: https://www.python.org/downloads, then run  make PYTHON=/path/to/python3.12 ..." >&2
  exit 1
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  echo "Python $version is here, but without its venv module." >&2
  echo "Debian, Ubuntu:  apt-get install python$version-venv   (or python3-venv)" >&2
  exit 1
fi

echo "Making the virtual environment $folder with $("$python" --version)"
[ -e "$folder" ] || made=yes
if ! "$python" -m venv "$folder"; then
  # Half an environment would look like a whole one the next time.
  [ -z "${made:-}" ] || rm -rf "$folder"
  exit 1
fi
