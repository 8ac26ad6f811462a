# C source without its comments, line for line: "FILE:LINE:text". With -v strings=0 the contents of
# literals go too, so that what is left is code. Lines of #include keep their name.
BEGIN { if (strings == "") strings = 1 }
FNR == 1 { inside = 0 }
{
	out = ""
	quote = ""
	if (!inside && $0 ~ /^[ \t]*#[ \t]*include/) {
		print FILENAME ":" FNR ":" $0
		next
	}
	n = length($0)
	for (i = 1; i <= n; i++) {
		c = substr($0, i, 1)
		two = substr($0, i, 2)
		if (inside) {
			if (two == "*/") { inside = 0; i++; out = out " " }
		} else if (quote != "") {
			if (c == "\\") {
				if (strings) out = out two
				i++
			} else if (c == quote) {
				out = out c
				quote = ""
			} else if (strings)
				out = out c
		} else if (two == "/*") {
			inside = 1
			i++
		} else if (two == "//")
			break
		else {
			if (c == "\"" || c == "'") quote = c
			out = out c
		}
	}
	print FILENAME ":" FNR ":" out
}
