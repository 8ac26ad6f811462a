#!/bin/bash
# Fuzzes with clang's libFuzzer and the address and undefined behaviour sanitizers, one target after the other, and says what
# was reached: make fuzz TARGETS='scan body' SECONDS_EACH=300.
#
# What it finds grows in $builddir/tests/fuzz/out/found/TARGET; a crash stands beside it. The seeds in tests/fuzz/corpus are read and
# never changed: what is worth keeping is made as small as it goes (-minimize_crash=1), named for what it shows, and put there by hand.
set -eu
: "${srcdir:=.}" "${builddir:=.}" "${FUZZ_CC:=clang}" "${SECONDS_EACH:=60}" "${LONGEST:=600}"
srcdir=$(cd "$srcdir" && pwd)
builddir=$(cd "$builddir" && pwd)
tools=${FUZZ_CC#clang}
cd "$srcdir"
if [ -z "${TARGETS:-}" ]; then
	TARGETS=$(ls tests/fuzz/fuzz_*.c | sed 's,.*fuzz_,,; s,\.c$,,')
fi

common=(-std=gnu17 -D_GNU_SOURCE -I. -g -O1)
sanitized=(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
covered=(-fprofile-instr-generate -fcoverage-mapping)
# What the targets need of us; no loop, no socket, no store.
sources=(daemon/base/{alloc,buffer,error,unpack,utf8}.c daemon/model/{answer,content,request,scan,scan_text}.c
	daemon/work/{api_parse,api_words}.c tests/fuzz/{grammar,peer}.c)
libraries=(-ljson-c -lz -lzstd)
work=$builddir/tests/fuzz/out
mkdir -p "$work"

for target in $TARGETS; do
	found=$work/found/$target
	mkdir -p "$found"
	"$FUZZ_CC" "${common[@]}" "${sanitized[@]}" -fsanitize=fuzzer "tests/fuzz/fuzz_$target.c" "${sources[@]}" \
		"${libraries[@]}" -o "$work/fuzz_$target"
	dictionary=(-dict=tests/fuzz/json.dict)
	[ "$target" != unpack ] || dictionary=()
	"$work/fuzz_$target" "${dictionary[@]}" -max_total_time="$SECONDS_EACH" -max_len="$LONGEST" -print_final_stats=1 \
		-artifact_prefix="$work/$target-" "$found" "tests/fuzz/corpus/$target" >"$work/$target.log" 2>&1 || {
		grep -E 'Assertion|ERROR:|runtime error|^    #[0-9]* .*tests/fuzz/fuzz_|Test unit written' "$work/$target.log"
		echo "fuzz_$target failed: $work/$target.log has all of it" >&2
		exit 1
	}
	echo "fuzz_$target: $(awk '/number_of_executed_units/ { print $2 }' "$work/$target.log") inputs tried," \
		"$(find "$found" "tests/fuzz/corpus/$target" -type f | wc -l) kept, no failure"
	if command -v "llvm-cov$tools" >/dev/null; then
		"$FUZZ_CC" "${common[@]}" "${covered[@]}" "tests/fuzz/fuzz_$target.c" tests/fuzz/replay.c "${sources[@]}" \
			"${libraries[@]}" -o "$work/cover_$target"
		rm -f "$work/$target".*.profraw
		LLVM_PROFILE_FILE="$work/$target.%m.profraw" "$work/cover_$target" "$found" "tests/fuzz/corpus/$target" >/dev/null
		"llvm-profdata$tools" merge -o "$work/$target.profdata" "$work/$target".*.profraw
		rm -f "$work/$target".*.profraw
		"llvm-cov$tools" report "$work/cover_$target" -instr-profile="$work/$target.profdata" daemon/model daemon/work \
			daemon/base/unpack.c | awk 'NR > 2 && $1 !~ /^-/ && $2 ~ /^[0-9]+$/ && $4 != "0.00%" && $10 != "-" && $1 != "TOTAL" {
				printf "  %-24s %s of lines, %s of branches\n", $1, $10, $13 }'
	fi
done
