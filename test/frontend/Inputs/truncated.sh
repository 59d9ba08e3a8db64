#!/bin/sh
# Usage: truncated.sh STEP MODEL SCRATCH. Every STEP-th prefix of the model must be refused with one message and status 1.
step=$1 model=$2 prefix=$3.onnx
bytes=$(($(wc -c < "$model")))
length=0
while [ "$length" -lt "$bytes" ]; do
    head -c "$length" "$model" > "$prefix"
    text=$(qanat opt "$prefix" 2>&1 > /dev/null)
    status=$?
    if [ "$status" -ne 1 ] || [ "$(printf '%s\n' "$text" | grep -c 'error: ')" -ne 1 ]; then
        echo "prefix of $length bytes: status $status, $text"
        exit 1
    fi
    length=$((length + step))
done
