# What the tests of the front door share; source it behind lib.sh. Each answer is left in $folder/body and $folder/head.
#
#	call NAME STATUS CURL-ARGUMENT...		one call has this status
#	refused NAME STATUS CODE PARAM CURL-ARGUMENT...	one call is refused, in the documented shape of errors
#	holds NAME JQ-ARGUMENT...			something is so in the last body
#	header NAME					a header of the last answer
#	upload FILE					the id of a new file
#	create MEMBERS					the body of a createBatch for $file, with more members
sample=$srcdir/tests/data/sample.jsonl
jsonl="Content-Type: application/jsonl"
json="Content-Type: application/json"

call()
{
	name=$1 wanted=$2
	shift 2
	: >"$folder/body"
	is "$name" "$wanted" "$(door -D "$folder/head" -o "$folder/body" -w '%{http_code}' "$@" 2>&1)"
}

refused()
{
	name=$1 wanted="$2 $3 $4"
	shift 4
	: >"$folder/body"
	got=$(door -D "$folder/head" -o "$folder/body" -w '%{http_code}' "$@")
	is "$name" "$wanted" "$got $(jq -r 'if keys == ["error"]
		and (.error | keys == ["code", "message", "param", "type"] and (.message | length > 0)
			and (.type == "invalid_request_error" or .type == "server_error"))
		then .error | "\(.code) \(.param)" else "is no documented error: \(.)" end' "$folder/body")"
}

holds()
{
	name=$1
	shift
	ok "$name" jq -e "$@" "$folder/body"
}

header()
{
	tr -d '\r' <"$folder/head" | sed -n "s/^$1: //ip" | tail -n 1
}

upload()
{
	door -F purpose=batch -F "file=@$1" http://d/v1/files | jq -r .id
}

create()
{
	printf '{"input_file_id":"%s","endpoint":"/v1/chat/completions","completion_window":"24h"%s}' "$file" "$1"
}
