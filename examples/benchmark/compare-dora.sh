#!/usr/bin/env bash
# The same nodes under the real dora 1.1.0 and under this project's dora, and plugins, in turns: one Markdown table of ratios.
#
#     examples/benchmark/compare-dora.sh [--quick] [--rounds N] [WORD...]      `--help` says which words
#
# Makes what it needs under target/ by itself: dora's command and its Python library from PyPI in an environment of its own,
# and nodes by dora's Rust library from crates.io, whose first build takes a quarter of an hour. Linux.
set -euo pipefail

release=1.1.0
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

environment=$target/venvs/dora-cli-$release
if [ ! -e "$environment/complete" ]; then
    echo "== dora $release from PyPI" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        "dora-rs==$release" "dora-rs-cli==$release" pyarrow
    touch "$environment/complete"
fi

echo "== nodes by dora's library" >&2
cargo build --quiet --release --locked --manifest-path host/testing/fixtures/dora/rust/Cargo.toml --target-dir "$target/deep"

echo "== this project" >&2
cargo build --quiet --release --package benchmark --package dora --package stopwatch

exec "$target/release/benchmark" dora \
    --theirs "$environment/bin/dora" --node "$target/deep/release/dora-rust-node" --python "$environment" \
    --dora "$target/release/dora" --nodes "$target/release" "$@"
