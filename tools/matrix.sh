#!/usr/bin/env bash
# Run what depends on the interpreter - the engines, their conformance, the recorder -
# under every other Python at hand, each in a venv of its own, and say which those were.
#
# Usage: tools/matrix.sh PYTHON   (the one that has already run the whole suite)
set -euo pipefail

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# The first candidate that starts: a pyenv shim exists for versions that are not selected.
find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$1".*/bin/python; do
        if [ "$(version_of "$candidate")" = "$1" ]; then
            echo "$candidate"
            return
        fi
    done
}

main=$(version_of "$1")
tests=()
for folder in tests/engines tests/conformance tests/recorder tests/scope; do
    if [ -d "$folder" ]; then tests+=("$folder"); fi
done

pythons=()
missing=()
for version in 3.11 3.12 3.13 3.14; do
    if [ "$version" = "$main" ]; then continue; fi
    python=$(find_python "$version")
    if [ -n "$python" ]; then pythons+=("$version=$python"); else missing+=("$version"); fi
done

found="${pythons[*]%%=*}"
echo "Besides Python $main there are here: ${found:-none}; not found: ${missing[*]:-none}"
for python in "${pythons[@]}"; do
    echo "== Python ${python%%=*}: ${tests[*]}"
    make --no-print-directory suite PYTHON="${python#*=}" VENV=".venv-${python%%=*}" EXTRAS=test TESTS="${tests[*]}"
done
