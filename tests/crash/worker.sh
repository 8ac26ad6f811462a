#!/bin/sh
# One worker of a campaign: an API of its own, the inputs, and tests/crash/ordeal, which has the rest in its
# environment.
#
#	worker.sh KIND SCENE...
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/crash/scene.sh"

# long_input REQUESTS: of 100 kB each, so that calls are many and requests few.
long_input()
{
	awk -v count="$1" 'BEGIN {
		words = "apples and pears "
		while (length(words) < 100000)
			words = words words
		for (i = 1; i <= count; i++) {
			printf "{\"custom_id\":\"question-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",", i
			printf "\"body\":{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\","
			printf "\"content\":\"%s\"}],\"max_tokens\":400}}\n", substr(words, 1, 100000)
		}
	}'
}

make_input "$folder/all.jsonl"
head -n 700 "$folder/all.jsonl" >"$folder/big.jsonl"
head -n 3 "$folder/all.jsonl" >"$folder/small.jsonl"
for status in 400 500; do
	awk -v words="sim:status=$status sim:times=1 " 'NR % 10 == 0 { sub(/"content": *"/, "&" words) } { print }' \
		"$folder/big.jsonl" >"$folder/$status.jsonl"
done
mv "$folder/400.jsonl" "$folder/mixed.jsonl"
mv "$folder/500.jsonl" "$folder/tries.jsonl"
for scene; do
	case $scene in
	wide) long_input 80 >"$folder/wide.jsonl" ;;
	huge) long_input 2000 >"$folder/huge.jsonl" ;;
	esac
done
start_sim --validate-ms 2 --run-ms 2 --finalize-ms 2 --cancel-ms 2
quick_config "probe_lost = 10ms" "connect_timeout = 1s" "call_timeout = 2s" "stall_timeout = 2s"
FOLDER=$folder BUILD=$builddir "$builddir/tests/crash/ordeal" "$@" &
ordeal_pid=$!
trap 'kill "$ordeal_pid" 2>/dev/null; wait "$ordeal_pid"; exit 130' INT TERM HUP
wait "$ordeal_pid"
