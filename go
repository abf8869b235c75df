#!/usr/bin/env bash
# ./go = install + main job;  ./go test [PYTEST ARGS] = install + every check CI runs;  ./go ARGS = sigconv ARGS
set -euo pipefail
cd "$(dirname "$0")"
bin=.venv/bin

install() { # install EXTRA: once, and again whenever pyproject.toml or constraints.txt change
    local stamp=.venv/.installed${1:+-$1}
    if ! $bin/python -m pip --version >/dev/null 2>&1; then # none yet, or one left half-made
        rm -rf .venv
        "${PYTHON:-python3}" -m venv .venv || { echo "python3 cannot make a .venv: install its venv package (Debian: python3-venv)" >&2; exit 1; }
    fi
    if [ -f "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ] && [ ! constraints.txt -nt "$stamp" ]; then return; fi
    echo "installing into .venv (once; the next start takes a second)" >&2
    # A machine with a GPU gets torch's CUDA build; elsewhere the pin lets a CPU build found locally win.
    local constraint=(-c constraints.txt)
    if command -v nvidia-smi >/dev/null; then constraint=(); fi
    local what=(-e ".${1:+[$1]}")
    # The tests start many processes: what they import is compiled once.
    # uv is quick but does not read pip's settings: hand it the local files and the mirror, if there are any.
    local links=${PIP_FIND_LINKS:-$($bin/pip config get global.find-links 2>/dev/null || true)}
    if ! { $bin/pip install -q uv 2>/dev/null &&
        $bin/uv pip install -q --python $bin/python ${links:+--find-links "$links"} \
            ${PIP_INDEX_URL:+--index-url "$PIP_INDEX_URL"} ${1:+--compile-bytecode} "${constraint[@]}" "${what[@]}"; }; then
        echo "uv could not do it: going on with pip" >&2
        $bin/pip install -q "${constraint[@]}" "${what[@]}"
    fi
    touch "$stamp"
}

if [ "${1:-}" = test ]; then
    shift
    install test
    $bin/ruff check .
    $bin/ruff format --check .
    # mypy does not follow an editable install's mapping: it is shown the tree as a wheel lays it out.
    rm -rf build
    $bin/python -c "import setuptools; setuptools.setup()" -q build_py -d build/view
    MYPYPATH=build/view $bin/mypy -p sigconv
    # The whole suite, two at a time; a test that hangs is named, with where it hangs, and ends.
    [ $# -gt 0 ] || set -- -n 2 --dist worksteal -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true
    exec $bin/pytest "$@"
fi
install ""
[ $# -gt 0 ] || set -- run mnist1d
exec $bin/sigconv "$@"
