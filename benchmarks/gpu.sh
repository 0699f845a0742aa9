#!/usr/bin/env bash
# The library on a GPU, tested and timed in one command of at most ten minutes.
#
# Run: PYTHON=python3 benchmarks/gpu.sh [OUT]
# Writes OUT/device.txt, kernels.txt, modules.txt, bench.txt, bench.parquet, bench.svg, packed.txt,
# events.txt and, made of them, gpu.md.
# DEVICE=cpu rehearses it where there is no GPU: Triton's interpreter, small sizes, no figures worth
# keeping.
set -uo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}" device="${DEVICE:-cuda}" out="${1:-results/gpu}"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$out"

"$python" - "$device" > "$out/device.txt" <<'PROGRAM' || { cat "$out/device.txt"; exit 2; }
import importlib.util, platform, sys
import torch
needed = ("altair", "beartype", "hypothesis", "jaxtyping", "numba", "polars", "pyarrow", "pytest",
          "safetensors", "triton", "typer", "vl_convert", "xxhash", "optuna", "lightning", "torchmetrics", "jinja2")
missing = [name for name in needed if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(print(f"missing here: {', '.join(missing)}") or 2)
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit(print("torch finds no GPU here: DEVICE=cpu rehearses") or 2)
card = torch.cuda.get_device_name() if sys.argv[1] == "cuda" else f"rehearsal on {platform.machine()}"
print(f"{card}\ntorch {torch.__version__}, Python {platform.python_version()}")
PROGRAM
cat "$out/device.txt"

if [ "$device" = cuda ]; then
  tests=() sizes=(--seconds 1) packed=()
else
  tests=(-k uniform) sizes=(--seconds 0 --batch 64 --num-hashes 64 --hidden 32-32) packed=(--small)
  export OMP_NUM_THREADS=1
fi
run_tests() { timeout 280 "$python" -m pytest -q -p no:cacheprovider --durations=10 "$@"; }
run_tests "${tests[@]}" tests/kernels/test_cuda*.py > "$out/kernels.txt" 2>&1 &
kernels=$!
run_tests tests/test_devices.py > "$out/modules.txt" 2>&1
tested=$?
wait $kernels
tested=$((tested || $?))
tail -n 3 "$out/kernels.txt" "$out/modules.txt"
timeout 220 "$python" -c "from tablefree.cli import main; main()" bench --device "$device" \
  "${sizes[@]}" --output "$out" > "$out/bench.txt" 2>&1
timed=$?
tail -n 3 "$out/bench.txt"
timeout 100 "$python" benchmarks/packed_lookup.py --device "$device" "${packed[@]}" \
  > "$out/packed.txt" 2>&1 || timed=1
tail -n 3 "$out/packed.txt"
timeout 100 "$python" benchmarks/train_events.py --device "$device" > "$out/events.txt" 2>&1 ||
  timed=1
tail -n 3 "$out/events.txt"
"$python" benchmarks/gpu_document.py "$out" || exit 1
exit $((tested || timed))
