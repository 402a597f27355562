#!/bin/sh
# Make sure that a Linux machine has what Qt's windows and a virtual screen need.
#
#   scripts/setup-x.sh            install what is missing with apt-get when that can be done without
#                                 asking (root, or sudo without a password); else say what is missing
#                                 and the command that installs it, and exit with 1
#   scripts/setup-x.sh --check    never install: only say what is missing, exit with 1 if anything is
#   scripts/setup-x.sh --desktop  as --check, but leave out the virtual screen: for a real desktop
#
# Prints nothing and exits with 0 when all is there, and on other systems than Linux.
set -eu

mode=${1:-}
case $mode in
  "" | --check | --desktop) ;;
  *) echo "usage: scripts/setup-x.sh [--check | --desktop]" >&2; exit 2 ;;
esac
[ "$(uname -s)" = Linux ] || exit 0
PATH=$PATH:/usr/sbin:/sbin

# What is looked for, and the Debian or Ubuntu package that has it.
commands="xvfb-run:xvfb Xvfb:xvfb xauth:xauth"
libraries="
  libEGL.so.1:libegl1
  libglib-2.0.so.0:libglib2.0-0
  libdbus-1.so.3:libdbus-1-3
  libfontconfig.so.1:libfontconfig1
  libxkbcommon-x11.so.0:libxkbcommon-x11-0
  libxcb-cursor.so.0:libxcb-cursor0
  libxcb-icccm.so.4:libxcb-icccm4
  libxcb-keysyms.so.1:libxcb-keysyms1
  libxcb-shape.so.0:libxcb-shape0
"

has_software_gl() {
  for driver in /usr/lib/*/dri/*swrast* /usr/lib*/dri/*swrast* \
    /usr/lib/*/libgallium-* /usr/lib*/libgallium-*; do
    [ -e "$driver" ] && return 0
  done
  return 1
}

# Sets $missing (things) and $packages.
look() {
  missing= packages=
  if [ "$mode" != --desktop ]; then
    for pair in $commands; do
      command -v "${pair%%:*}" >/dev/null 2>&1 || add "${pair%%:*}" "${pair#*:}"
    done
    has_software_gl || add "Mesa's software renderer" libgl1-mesa-dri
  fi
  command -v ldconfig >/dev/null 2>&1 || return 0 # no list of libraries to look in (musl, NixOS)
  known=$(ldconfig -p)
  for pair in $libraries; do
    case $known in
      *"${pair%%:*} "*) ;;
      *) add "${pair%%:*}" "${pair#*:}" ;;
    esac
  done
}

add() {
  missing="$missing${missing:+, }$1"
  case " $packages " in
    *" $2 "*) ;;
    *) packages="$packages${packages:+ }$2" ;;
  esac
}

look
[ -n "$missing" ] || exit 0

if [ -z "$mode" ] && command -v apt-get >/dev/null 2>&1; then
  as_root=
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
      as_root="sudo -n"
    else
      as_root=no
    fi
  fi
  if [ "$as_root" != no ]; then
    echo "Installing the X libraries that are missing: $packages"
    $as_root apt-get -o DPkg::Lock::Timeout=120 update -qq || true
    # shellcheck disable=SC2086 # both are lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
      install -y -qq --no-install-recommends $packages >&2 || true
    look
    [ -n "$missing" ] || exit 0
  fi
fi

echo "Missing for napari's window: $missing" >&2
echo "Debian, Ubuntu:  sudo apt-get install --no-install-recommends $packages" >&2
command -v apt-get >/dev/null 2>&1 || echo "Other systems: the packages that have these files." >&2
exit 1
