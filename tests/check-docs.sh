#!/bin/sh
# The documents and the programs say the same, in both directions: each key of the configuration with its
# default in conf/ and the manual; each command and option of batchctl and batchd in theirs; the manuals are
# well formed.
set -u
builddir=$(cd "${builddir:-.}" && pwd) || exit 1
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
found=$tap_folder/found

# differ NAME A B WHAT-A WHAT-B: one test, that two sorted lists are the same.
differ()
{
	{
		comm -23 "$2" "$3" | sed "s,\$, -- only in $4,"
		comm -13 "$2" "$3" | sed "s,\$, -- only in $5,"
		[ -s "$2" ] || echo "nothing was found in $4"
	} >"$found"
	tap_result "$1" "$found"
}

# "section key default" lines of the program, the example file and the manual; "-": no default.
"$builddir/batchd" --print-keys 2>/dev/null | LC_ALL=C sort >"$tap_folder/keys"
awk '
/^#?\[[a-z]+/ { section = $0; gsub(/^#?\[|[] ].*$/, "", section); if ($3 == "model") section = section "-model" }
/^#?[a-z_]+ = / { key = $1; sub(/^#/, "", key); print section, key, $3 }' conf/batchd.conf |
	LC_ALL=C sort >"$tap_folder/conf"
awk '
/^\.Ss Section \[/ { section = $3; gsub(/[][]/, "", section); if ($5 == "model") section = section "-model" }
/^\.Sh/ { section = "" }
section && /^\.It Cm [a-z_]+ = Ar/ { key = $3; value = "" }
section && key && value == "default" && /^\.Cm / { print section, key, $2; key = "" }
section && key && /^Default: none/ { print section, key, "-"; key = "" }
/^Default:$/ { value = "default" }' conf/batchd.conf.5 | LC_ALL=C sort >"$tap_folder/manual"

# Where there is no default the example file shows an example instead.
awk 'NR == FNR { if ($3 == "-") none[$1 " " $2] = 1; next }
	{ print $1, $2, (($1 " " $2) in none) ? "-" : $3 }' "$tap_folder/keys" "$tap_folder/conf" >"$tap_folder/conf2"
differ "keys and defaults in conf/batchd.conf" "$tap_folder/keys" "$tap_folder/conf2" \
	"batchd --print-keys" conf/batchd.conf
differ "keys and defaults in conf/batchd.conf.5" "$tap_folder/keys" "$tap_folder/manual" \
	"batchd --print-keys" conf/batchd.conf.5

# The example, once it is uncommented, is a configuration.
sed 's/^#\([a-z_[].*\)/\1/' conf/batchd.conf >"$tap_folder/batchd.conf"
"$builddir/batchd" --config "$tap_folder/batchd.conf" --check-config >"$found" 2>&1 && : >"$found"
tap_result "conf/batchd.conf is a configuration once it is uncommented" "$found"

# Options stand in a help text as words, in mdoc behind the macro Fl ("Fl -all": --all, "Fl j": -j).
options_of_text()
{
	tr -c 'A-Za-z0-9-' '\n' | grep -Ex -e '--[a-z][a-z-]*|-[A-Za-z]' | LC_ALL=C sort -u
}

options_of_manual()
{
	awk '/^\.\\"/ { next } /^\./ {
		for (i = 1; i < NF; i++)
			if ($i == "Fl" || $i == ".Fl")
				for (k = i + 1; k <= NF && $k ~ /^\\?-*[A-Za-z][A-Za-z-]*[,.;:)]*$|^[,|]$/; k++) {
					word = $k
					gsub(/\\|[,.;:)|]/, "", word)
					if (word ~ /^(Ar|Ns|Cm|Op|Oc|Oo|Pq|Li|Fl|No|Sy|Em|Xr|Pa|Ql)$/) break
					if (word != "") print "-" word
				}
	}' "$1" | LC_ALL=C sort -u
}

"$builddir/batchd" --help 2>&1 | options_of_text >"$tap_folder/help"
options_of_manual daemon/batchd.8 >"$tap_folder/manual"
differ "options in batchd.8" "$tap_folder/help" "$tap_folder/manual" "batchd --help" daemon/batchd.8

# A command is the first word of a line of "batchctl help" that begins with blanks; in the manual an item
# whose first word is Cm.
"$builddir/batchctl" help >"$tap_folder/overview" 2>&1
if [ ! -e client/batchctl.1 ]; then
	echo "client/batchctl.1 is missing" >"$found"
	tap_result "commands and options in batchctl.1" "$found"
else
	sed -n 's/^  *\([a-z][a-z-]*\)\( .*\)\{0,1\}$/\1/p' "$tap_folder/overview" | LC_ALL=C sort -u >"$tap_folder/commands"
	sed -n 's/^\.It Cm \([a-z][a-z-]*\).*/\1/p' client/batchctl.1 | LC_ALL=C sort -u >"$tap_folder/manual"
	differ "commands in batchctl.1" "$tap_folder/commands" "$tap_folder/manual" "batchctl help" client/batchctl.1
	{
		cat "$tap_folder/overview"
		while read -r command; do
			"$builddir/batchctl" help "$command" 2>&1 || echo "--no-help-for-$command"
		done <"$tap_folder/commands"
	} | options_of_text >"$tap_folder/help"
	options_of_manual client/batchctl.1 >"$tap_folder/manual"
	differ "options in batchctl.1" "$tap_folder/help" "$tap_folder/manual" "batchctl help" client/batchctl.1
fi

for manual in conf/batchd.conf.5 daemon/batchd.8 client/batchctl.1; do
	if ! command -v mandoc >/dev/null 2>&1; then
		tap_skip "$manual is well formed" "there is no mandoc"
		continue
	fi
	mandoc -Tlint -W warning "$manual" >"$found" 2>&1
	tap_result "$manual is well formed" "$found"
done

tap_done
