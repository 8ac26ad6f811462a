/*
 * RFC 8259, section by section, what it allows and what not. Each row is put to the scanner and to
 * the grammar that the fuzzer judges by, so that neither can be wrong alone.
 */
#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/scan.h"
#include "tests/fuzz/grammar.h"
#include "tests/unit/check.h"

/* A text that may hold NUL, with its size. */
#define TEXT(literal) (literal), sizeof(literal) - 1
#define YES           true
#define NO            false

struct row {
	const char *section;
	bool is_json;
	const char *text;
	size_t size;
};

/* clang-format off */
static const struct row structure_rows[] = {
	/* JSON-text = ws value ws */
	{ "2 no text",              NO,  TEXT("") },
	{ "2 white space alone",    NO,  TEXT(" \t\r\n") },
	{ "2 space around",         YES, TEXT(" 1 ") },
	{ "2 tab around",           YES, TEXT("\t1\t") },
	{ "2 line feed around",     YES, TEXT("\n1\n") },
	{ "2 return around",        YES, TEXT("\r1\r") },
	{ "2 vertical tab",         NO,  TEXT("\v1") },
	{ "2 form feed",            NO,  TEXT("\f1") },
	{ "2 NUL before",           NO,  TEXT("\0" "1") },
	{ "2 NUL behind",           NO,  TEXT("1\0") },
	{ "2 no-break space",       NO,  TEXT("\xc2\xa0" "1") },
	{ "2 ideographic space",    NO,  TEXT("1\xe3\x80\x80") },
	{ "2 line separator",       NO,  TEXT("1\xe2\x80\xa8") },
	{ "2 next line",            NO,  TEXT("1\xc2\x85") },
	{ "2 two values",           NO,  TEXT("1 2") },
	{ "2 two values, comma",    NO,  TEXT("1,2") },
	{ "2 two objects",          NO,  TEXT("{}{}") },
	{ "2 comment",              NO,  TEXT("1 // one") },
	{ "2 comment before",       NO,  TEXT("/* one */ 1") },
	{ "2 hash comment",         NO,  TEXT("# one\n1") },
	{ "2 bracket behind",       NO,  TEXT("[]]") },
	{ "2 brace behind",         NO,  TEXT("{}}") },
	{ "2 comma behind",         NO,  TEXT("[],") },
	{ "2 semicolon behind",     NO,  TEXT("1;") },
	{ "2 space everywhere",     YES, TEXT(" { \"a\" : [ 1 , 2 ] , \"b\" : { } } ") },
	{ "2 all kinds of space",   YES, TEXT("\t\n\r [\t\n\r 1\t\n\r ,\t\n\r 2\t\n\r ]\t\n\r ") },
	{ "2 no space anywhere",    YES, TEXT("{\"a\":[1,2],\"b\":{}}") },
};

static const struct row value_rows[] = {
	/* value = false / null / true / object / array / number / string; names MUST be lowercase */
	{ "3 false",                YES, TEXT("false") },
	{ "3 null",                 YES, TEXT("null") },
	{ "3 true",                 YES, TEXT("true") },
	{ "3 object",               YES, TEXT("{}") },
	{ "3 array",                YES, TEXT("[]") },
	{ "3 number",               YES, TEXT("0") },
	{ "3 string",               YES, TEXT("\"\"") },
	{ "3 False",                NO,  TEXT("False") },
	{ "3 NULL",                 NO,  TEXT("NULL") },
	{ "3 tRUE",                 NO,  TEXT("tRUE") },
	{ "3 truE",                 NO,  TEXT("truE") },
	{ "3 cut true",             NO,  TEXT("tru") },
	{ "3 cut false",            NO,  TEXT("fals") },
	{ "3 cut null",             NO,  TEXT("nul") },
	{ "3 one letter",           NO,  TEXT("n") },
	{ "3 truee",                NO,  TEXT("truee") },
	{ "3 nullnull",             NO,  TEXT("nullnull") },
	{ "3 true1",                NO,  TEXT("true1") },
	{ "3 words beside",         NO,  TEXT("true false") },
	{ "3 split word",           NO,  TEXT("tr ue") },
	{ "3 undefined",            NO,  TEXT("undefined") },
	{ "3 None",                 NO,  TEXT("None") },
	{ "3 unquoted",             NO,  TEXT("abc") },
	{ "3 escaped word",         NO,  TEXT("\\u0074rue") },
	{ "3 wide letters",         NO,  TEXT("\xef\xbd\x94rue") },
};

static const struct row object_rows[] = {
	/* object = begin-object [ member *( value-separator member ) ] end-object;
	   member = string name-separator value */
	{ "4 empty",                YES, TEXT("{}") },
	{ "4 one member",           YES, TEXT("{\"a\":1}") },
	{ "4 two members",          YES, TEXT("{\"a\":1,\"b\":2}") },
	{ "4 empty name",           YES, TEXT("{\"\":1}") },
	{ "4 name with escape",     YES, TEXT("{\"\\u0061\\n\":1}") },
	{ "4 name with NUL",        YES, TEXT("{\"\\u0000\":1}") },
	/* "The names within an object SHOULD be unique": not a matter of the grammar. */
	{ "4 a name twice",         YES, TEXT("{\"a\":1,\"a\":2}") },
	{ "4 every kind",           YES, TEXT("{\"a\":{},\"b\":[],\"c\":\"\",\"d\":0,\"e\":true,\"f\":false,\"g\":null}") },
	{ "4 not closed",           NO,  TEXT("{") },
	{ "4 not opened",           NO,  TEXT("}") },
	{ "4 closed as an array",   NO,  TEXT("{\"a\":1]") },
	{ "4 empty, as an array",   NO,  TEXT("{]") },
	{ "4 comma before",         NO,  TEXT("{,\"a\":1}") },
	{ "4 comma behind",         NO,  TEXT("{\"a\":1,}") },
	{ "4 comma alone",          NO,  TEXT("{,}") },
	{ "4 two commas",           NO,  TEXT("{\"a\":1,,\"b\":2}") },
	{ "4 no comma",             NO,  TEXT("{\"a\":1 \"b\":2}") },
	{ "4 semicolon",            NO,  TEXT("{\"a\":1;\"b\":2}") },
	{ "4 no colon",             NO,  TEXT("{\"a\" 1}") },
	{ "4 two colons",           NO,  TEXT("{\"a\"::1}") },
	{ "4 colon first",          NO,  TEXT("{:1}") },
	{ "4 equals sign",          NO,  TEXT("{\"a\"=1}") },
	{ "4 no value",             NO,  TEXT("{\"a\":}") },
	{ "4 no value, more",       NO,  TEXT("{\"a\":,\"b\":2}") },
	{ "4 name alone",           NO,  TEXT("{\"a\"}") },
	{ "4 bare name",            NO,  TEXT("{a:1}") },
	{ "4 name in quotes of one",NO,  TEXT("{'a':1}") },
	{ "4 number as name",       NO,  TEXT("{1:1}") },
	{ "4 null as name",         NO,  TEXT("{null:1}") },
	{ "4 array as name",        NO,  TEXT("{[]:1}") },
	{ "4 two values",           NO,  TEXT("{\"a\":1 2}") },
	{ "4 colon behind a value", NO,  TEXT("{\"a\":\"b\":1}") },
	{ "4 cut in a name",        NO,  TEXT("{\"a") },
	{ "4 cut behind a name",    NO,  TEXT("{\"a\"") },
	{ "4 cut behind a colon",   NO,  TEXT("{\"a\":") },
	{ "4 cut behind a value",   NO,  TEXT("{\"a\":1") },
	{ "4 cut behind a comma",   NO,  TEXT("{\"a\":1,") },
};

static const struct row array_rows[] = {
	/* array = begin-array [ value *( value-separator value ) ] end-array; of any types */
	{ "5 empty",                YES, TEXT("[]") },
	{ "5 one value",            YES, TEXT("[1]") },
	{ "5 every kind",           YES, TEXT("[{},[],\"\",0,true,false,null]") },
	{ "5 arrays of arrays",     YES, TEXT("[[],[[]],[[],[]]]") },
	{ "5 not closed",           NO,  TEXT("[") },
	{ "5 not opened",           NO,  TEXT("]") },
	{ "5 closed as an object",  NO,  TEXT("[1}") },
	{ "5 empty, as an object",  NO,  TEXT("[}") },
	{ "5 crossed",              NO,  TEXT("[{]}") },
	{ "5 comma before",         NO,  TEXT("[,1]") },
	{ "5 comma behind",         NO,  TEXT("[1,]") },
	{ "5 comma alone",          NO,  TEXT("[,]") },
	{ "5 two commas",           NO,  TEXT("[1,,2]") },
	{ "5 no comma",             NO,  TEXT("[1 2]") },
	{ "5 no comma, strings",    NO,  TEXT("[\"a\"\"b\"]") },
	{ "5 no comma, arrays",     NO,  TEXT("[[][]]") },
	{ "5 colon",                NO,  TEXT("[1:2]") },
	{ "5 a member",             NO,  TEXT("[\"a\":1]") },
	{ "5 cut behind a value",   NO,  TEXT("[1") },
	{ "5 cut behind a comma",   NO,  TEXT("[1,") },
	{ "5 inner one not closed", NO,  TEXT("[[]") },
};

static const struct row number_rows[] = {
	/* number = [ minus ] int [ frac ] [ exp ]; int = zero / ( digit1-9 *DIGIT ) */
	{ "6 zero",                 YES, TEXT("0") },
	{ "6 minus zero",           YES, TEXT("-0") },
	{ "6 one digit",            YES, TEXT("7") },
	{ "6 zeros behind",         YES, TEXT("1000") },
	{ "6 minus",                YES, TEXT("-12") },
	{ "6 beyond 53 bits",       YES, TEXT("9007199254740993") },
	{ "6 beyond 64 bits",       YES, TEXT("123456789012345678901234567890") },
	{ "6 beyond a double",      YES, TEXT("1e400") },
	{ "6 minus alone",          NO,  TEXT("-") },
	{ "6 minus and a letter",   NO,  TEXT("-a") },
	{ "6 two signs",            NO,  TEXT("--1") },
	{ "6 plus",                 NO,  TEXT("+1") },
	{ "6 minus, space",         NO,  TEXT("- 1") },
	{ "6 two zeros",            NO,  TEXT("00") },
	{ "6 leading zero",         NO,  TEXT("01") },
	{ "6 minus leading zero",   NO,  TEXT("-01") },
	{ "6 leading zero, point",  NO,  TEXT("00.5") },
	/* frac = decimal-point 1*DIGIT */
	{ "6 fraction",             YES, TEXT("0.5") },
	{ "6 zeros in a fraction",  YES, TEXT("1.000") },
	{ "6 minus fraction",       YES, TEXT("-0.001") },
	{ "6 no digit before",      NO,  TEXT(".5") },
	{ "6 no digit before, minus", NO, TEXT("-.5") },
	{ "6 no digit behind",      NO,  TEXT("1.") },
	{ "6 no digit, exponent",   NO,  TEXT("1.e5") },
	{ "6 point alone",          NO,  TEXT(".") },
	{ "6 two points",           NO,  TEXT("1..2") },
	{ "6 two fractions",        NO,  TEXT("1.2.3") },
	{ "6 decimal comma",        NO,  TEXT("1,5") },
	/* exp = e [ minus / plus ] 1*DIGIT; e = %x65 / %x45 */
	{ "6 exponent",             YES, TEXT("1e5") },
	{ "6 Exponent",             YES, TEXT("1E5") },
	{ "6 exponent plus",        YES, TEXT("1e+5") },
	{ "6 exponent minus",       YES, TEXT("1E-5") },
	{ "6 exponent zeros",       YES, TEXT("1e005") },
	{ "6 exponent of zero",     YES, TEXT("0e0") },
	{ "6 fraction, exponent",   YES, TEXT("-1.5e-300") },
	{ "6 exponent alone",       NO,  TEXT("e5") },
	{ "6 exponent, no digit",   NO,  TEXT("1e") },
	{ "6 exponent, sign alone", NO,  TEXT("1e+") },
	{ "6 exponent, two signs",  NO,  TEXT("1e+-5") },
	{ "6 two exponents",        NO,  TEXT("1e5e5") },
	{ "6 exponent, point",      NO,  TEXT("1e5.5") },
	{ "6 exponent, space",      NO,  TEXT("1e 5") },
	/* "Numeric values that cannot be represented in the grammar below (such as Infinity and NaN)
	   are not permitted." */
	{ "6 NaN",                  NO,  TEXT("NaN") },
	{ "6 nan",                  NO,  TEXT("nan") },
	{ "6 Infinity",             NO,  TEXT("Infinity") },
	{ "6 -Infinity",            NO,  TEXT("-Infinity") },
	{ "6 inf",                  NO,  TEXT("inf") },
	{ "6 hexadecimal",          NO,  TEXT("0x1F") },
	{ "6 octal",                NO,  TEXT("0o17") },
	{ "6 binary",               NO,  TEXT("0b1") },
	{ "6 digits in groups",     NO,  TEXT("1_000") },
	{ "6 suffix",               NO,  TEXT("1L") },
	{ "6 float suffix",         NO,  TEXT("1.0f") },
	{ "6 Arabic digit",         NO,  TEXT("\xd9\xa1") },
	{ "6 wide digit behind",    NO,  TEXT("1\xef\xbc\x91") },
	{ "6 minus sign U+2212",    NO,  TEXT("\xe2\x88\x92" "1") },
	{ "6 NUL in a number",      NO,  TEXT("1\0" "2") },
};

static const struct row string_rows[] = {
	/* string = quotation-mark *char quotation-mark; unescaped = %x20-21 / %x23-5B / %x5D-10FFFF */
	{ "7 empty",                YES, TEXT("\"\"") },
	{ "7 U+0020, U+0021",       YES, TEXT("\" !\"") },
	{ "7 U+0023, U+005B",       YES, TEXT("\"#[\"") },
	{ "7 U+005D, U+007F",       YES, TEXT("\"]\x7f\"") },
	{ "7 U+0080",               YES, TEXT("\"\xc2\x80\"") },
	{ "7 U+2028, U+2029",       YES, TEXT("\"\xe2\x80\xa8\xe2\x80\xa9\"") },
	{ "7 U+FEFF inside",        YES, TEXT("\"\xef\xbb\xbf\"") },
	{ "7 U+FFFE, U+FFFF",       YES, TEXT("\"\xef\xbf\xbe\xef\xbf\xbf\"") },
	{ "7 U+10FFFF",             YES, TEXT("\"\xf4\x8f\xbf\xbf\"") },
	{ "7 U+0000",               NO,  TEXT("\"\0\"") },
	{ "7 U+0001",               NO,  TEXT("\"\x01\"") },
	{ "7 backspace",            NO,  TEXT("\"\b\"") },
	{ "7 tab",                  NO,  TEXT("\"\t\"") },
	{ "7 line feed",            NO,  TEXT("\"\n\"") },
	{ "7 return",               NO,  TEXT("\"\r\"") },
	{ "7 escape character",     NO,  TEXT("\"\x1b[0m\"") },
	{ "7 U+001F",               NO,  TEXT("\"\x1f\"") },
	{ "7 quote inside",         NO,  TEXT("\"a\"b\"") },
	{ "7 not closed",           NO,  TEXT("\"a") },
	{ "7 quote alone",          NO,  TEXT("\"") },
	{ "7 quotes of one",        NO,  TEXT("'a'") },
	{ "7 typographic quotes",   NO,  TEXT("\xe2\x80\x9c" "a\xe2\x80\x9d") },
	{ "7 strings side by side", NO,  TEXT("\"a\" \"b\"") },
	/* escape ( %x22 / %x5C / %x2F / %x62 / %x66 / %x6E / %x72 / %x74 ) */
	{ "7 every short escape",   YES, TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"") },
	{ "7 \\a",                  NO,  TEXT("\"\\a\"") },
	{ "7 \\v",                  NO,  TEXT("\"\\v\"") },
	{ "7 \\0",                  NO,  TEXT("\"\\0\"") },
	{ "7 \\x41",                NO,  TEXT("\"\\x41\"") },
	{ "7 \\'",                  NO,  TEXT("\"\\'\"") },
	{ "7 \\N",                  NO,  TEXT("\"\\N\"") },
	{ "7 backslash, space",     NO,  TEXT("\"\\ \"") },
	{ "7 backslash, line feed", NO,  TEXT("\"\\\n\"") },
	{ "7 backslash, NUL",       NO,  TEXT("\"\\\0\"") },
	{ "7 backslash, letter",    NO,  TEXT("\"\\\xc3\xa9\"") },
	{ "7 backslash at the end", NO,  TEXT("\"\\\"") },
	{ "7 backslash, no end",    NO,  TEXT("\"\\") },
	{ "7 two backslashes",      YES, TEXT("\"\\\\\"") },
	{ "7 three and a quote",    NO,  TEXT("\"\\\\\\\"") },
	{ "7 escape outside",       NO,  TEXT("\\n") },
	/* %x75 4HEXDIG; ABNF's HEXDIG is of either case */
	{ "7 \\u0000",              YES, TEXT("\"\\u0000\"") },
	{ "7 either case",          YES, TEXT("\"\\uaBcD\\uEf09\"") },
	{ "7 a digit behind it",    YES, TEXT("\"\\u00410\"") },
	{ "7 three digits",         NO,  TEXT("\"\\u123\"") },
	{ "7 no digit",             NO,  TEXT("\"\\u\"") },
	{ "7 no hex digit",         NO,  TEXT("\"\\u00g0\"") },
	{ "7 no hex digit, last",   NO,  TEXT("\"\\u000G\"") },
	{ "7 NUL for a digit",      NO,  TEXT("\"\\u00\0" "0\"") },
	{ "7 sign for a digit",     NO,  TEXT("\"\\u-123\"") },
	{ "7 space for a digit",    NO,  TEXT("\"\\u 123\"") },
	{ "7 \\U",                  NO,  TEXT("\"\\U0041\"") },
	{ "7 \\u{41}",              NO,  TEXT("\"\\u{41}\"") },
	{ "7 cut in the digits",    NO,  TEXT("\"\\u00") },
	/* "a character not in the Basic Multilingual Plane ... encoding the UTF-16 surrogate pair" */
	{ "7 U+1D11E",              YES, TEXT("\"\\uD834\\uDD1E\"") },
	{ "7 U+10000",              YES, TEXT("\"\\ud800\\udc00\"") },
	{ "7 U+10FFFF as a pair",   YES, TEXT("\"\\udbff\\udfff\"") },
	{ "7 U+1D800 as a pair",    YES, TEXT("\"\\ud836\\udc00\"") },
	{ "7 U+D7FF",               YES, TEXT("\"\\ud7ff\"") },
	{ "7 U+E000",               YES, TEXT("\"\\ue000\"") },
	/* 8.2 leaves these open; we hold to RFC 7493, 2.1. */
	{ "8.2 high half",          NO,  TEXT("\"\\uDEAD\"") },
	{ "8.2 U+D800",             NO,  TEXT("\"\\ud800\"") },
	{ "8.2 U+DBFF",             NO,  TEXT("\"\\udbff\"") },
	{ "8.2 U+DC00",             NO,  TEXT("\"\\udc00\"") },
	{ "8.2 U+DFFF",             NO,  TEXT("\"\\udfff\"") },
	{ "8.2 halves turned",      NO,  TEXT("\"\\udc00\\ud800\"") },
	{ "8.2 two high halves",    NO,  TEXT("\"\\ud800\\ud800\"") },
	{ "8.2 high, then a pair",  NO,  TEXT("\"\\ud800\\ud800\\udc00\"") },
	{ "8.2 pair, then low",     NO,  TEXT("\"\\ud800\\udc00\\udc00\"") },
	{ "8.2 pair, then high",    NO,  TEXT("\"\\ud800\\udc00\\ud800\"") },
	{ "8.2 halves apart",       NO,  TEXT("\"\\ud800x\\udc00\"") },
	{ "8.2 high and U+DBFF",    NO,  TEXT("\"\\ud800\\udbff\"") },
	{ "8.2 high and U+E000",    NO,  TEXT("\"\\ud800\\ue000\"") },
	{ "8.2 high, backslash",    NO,  TEXT("\"\\ud800\\\\udc00\"") },
	{ "8.2 high at the end",    NO,  TEXT("\"\\ud800\\\"") },
	{ "8.2 high, cut low",      NO,  TEXT("\"\\ud800\\udc0\"") },
	{ "8.2 half in a name",     NO,  TEXT("{\"\\ud800\":1}") },
};

/* 8.1: "MUST be encoded using UTF-8". Table 3-7 of the Unicode Standard, row by row: its corners, and
   what lies beside them. */
static const struct row utf8_rows[] = {
	{ "3-7 00..7F",             YES, TEXT("\" \x7f\"") },
	{ "3-7 C2..DF 80..BF",      YES, TEXT("\"\xc2\x80\xdf\xbf\"") },
	{ "3-7 E0 A0..BF 80..BF",   YES, TEXT("\"\xe0\xa0\x80\xe0\xbf\xbf\"") },
	{ "3-7 E1..EC 80..BF 80..BF", YES, TEXT("\"\xe1\x80\x80\xec\xbf\xbf\"") },
	{ "3-7 ED 80..9F 80..BF",   YES, TEXT("\"\xed\x80\x80\xed\x9f\xbf\"") },
	{ "3-7 EE..EF 80..BF 80..BF", YES, TEXT("\"\xee\x80\x80\xef\xbf\xbf\"") },
	{ "3-7 F0 90..BF 80..BF 80..BF", YES, TEXT("\"\xf0\x90\x80\x80\xf0\xbf\xbf\xbf\"") },
	{ "3-7 F1..F3 80..BF 80..BF 80..BF", YES, TEXT("\"\xf1\x80\x80\x80\xf3\xbf\xbf\xbf\"") },
	{ "3-7 F4 80..8F 80..BF 80..BF", YES, TEXT("\"\xf4\x80\x80\x80\xf4\x8f\xbf\xbf\"") },
	{ "3-7 tail first",         NO,  TEXT("\"\x80\"") },
	{ "3-7 last tail first",    NO,  TEXT("\"\xbf\"") },
	{ "3-7 C0",                 NO,  TEXT("\"\xc0\xaf\"") },
	{ "3-7 C1",                 NO,  TEXT("\"\xc1\xbf\"") },
	{ "3-7 C2 7F",              NO,  TEXT("\"\xc2\x7f\"") },
	{ "3-7 C2 C0",              NO,  TEXT("\"\xc2\xc0\"") },
	{ "3-7 DF alone",           NO,  TEXT("\"\xdf\"") },
	{ "3-7 E0 9F, overlong",    NO,  TEXT("\"\xe0\x9f\xbf\"") },
	{ "3-7 E0 80, overlong",    NO,  TEXT("\"\xe0\x80\xaf\"") },
	{ "3-7 E1 7F",              NO,  TEXT("\"\xe1\x7f\x80\"") },
	{ "3-7 EC 80 C0",           NO,  TEXT("\"\xec\x80\xc0\"") },
	{ "3-7 ED A0, U+D800",      NO,  TEXT("\"\xed\xa0\x80\"") },
	{ "3-7 ED BF, U+DFFF",      NO,  TEXT("\"\xed\xbf\xbf\"") },
	{ "3-7 CESU-8 pair",        NO,  TEXT("\"\xed\xa0\xbd\xed\xb8\x80\"") },
	{ "3-7 EF cut",             NO,  TEXT("\"\xef\xbf\"") },
	{ "3-7 F0 8F, overlong",    NO,  TEXT("\"\xf0\x8f\xbf\xbf\"") },
	{ "3-7 F0 80, overlong",    NO,  TEXT("\"\xf0\x80\x80\xaf\"") },
	{ "3-7 F1 cut",             NO,  TEXT("\"\xf1\x80\x80\"") },
	{ "3-7 F3 80 80 7F",        NO,  TEXT("\"\xf3\x80\x80\x7f\"") },
	{ "3-7 F4 90, beyond",      NO,  TEXT("\"\xf4\x90\x80\x80\"") },
	{ "3-7 F5",                 NO,  TEXT("\"\xf5\x80\x80\x80\"") },
	{ "3-7 F8, five bytes",     NO,  TEXT("\"\xf8\x88\x80\x80\x80\"") },
	{ "3-7 FC, six bytes",      NO,  TEXT("\"\xfc\x84\x80\x80\x80\x80\"") },
	{ "3-7 FE",                 NO,  TEXT("\"\xfe\"") },
	{ "3-7 FF",                 NO,  TEXT("\"\xff\"") },
	{ "3-7 modified NUL",       NO,  TEXT("\"\xc0\x80\"") },
	{ "3-7 wrong in a name",    NO,  TEXT("{\"\xff\":1}") },
	{ "3-7 cut by the quote",   NO,  TEXT("\"\xe4\xbd\"\xa0") },
	{ "3-7 cut by an escape",   NO,  TEXT("\"\xc3\\n\xa9\"") },
	{ "8.1 byte order mark",    NO,  TEXT("\xef\xbb\xbf{}") },
	{ "8.1 mark behind",        NO,  TEXT("{}\xef\xbb\xbf") },
	{ "8.1 UTF-16, little",     NO,  TEXT("\xff\xfe[\0]\0") },
	{ "8.1 UTF-16, no mark",    NO,  TEXT("[\0]\0") },
	{ "8.1 UTF-16, big",        NO,  TEXT("\0[\0]") },
	{ "8.1 UTF-32",             NO,  TEXT("[\0\0\0]\0\0\0") },
	{ "8.1 Latin-1",            NO,  TEXT("\"caf\xe9\"") },
	{ "8.1 outside of strings", NO,  TEXT("[\xe4\xbd\xa0]") },
};

/* 8.3: "a\\b" and "a\u005Cb" are equal, for they are compared decoded. */
static const struct {
	const char *a;
	const char *b;
	bool is_equal;
} comparisons[] = {
	{ "a\\\\b",       "a\\u005Cb",             true },
	{ "a\\\\b",       "a\\u005cb",             true },
	{ "\\/",          "/",                     true },
	{ "\\u002f",      "\\/",                   true },
	{ "\\u0022",      "\\\"",                  true },
	{ "\\n",          "\\u000a",               true },
	{ "\\ud834\\udd1e", "\xf0\x9d\x84\x9e",    true },
	{ "\\ud836\\udc00", "\xf0\x9d\xa0\x80",    true },
	{ "\\uffff",      "\xef\xbf\xbf",          true },
	{ "",             "",                      true },
	{ "",             "\\u0000",               false },
	{ "a\\u0000",     "a\\u0000b",             false },
	{ "\\\\n",        "\\n",                   false },
	{ "a",            "A",                     false },
	/* Not normalised: e with an acute accent, as one character and as two. */
	{ "\\u00e9",      "e\\u0301",              false },
};
/* clang-format on */

static bool scanner_takes(const char *text, size_t size)
{
	/* A copy of exactly this size, so that a sanitizer sees any byte read beyond it. */
	auto_free char *copy = xmalloc(size);
	struct scan scan;

	memcpy(copy, text, size);
	scan_init(&scan, copy, size);
	return scan_value(&scan, NULL, NULL) == 0 && scan_end(&scan) == 0;
}

static bool grammar_takes(const char *text, size_t size)
{
	struct grammar grammar;
	bool is_taken = grammar_read(&grammar, text, size, GRAMMAR_STRICT, SCAN_MAX_DEPTH);

	grammar_release(&grammar);
	return is_taken;
}

/* What is a value stays one, and what is none stays none, wherever it stands; unless it is what
 * stands there in between. */
static bool scanner_takes_inside(const struct row *row, const char *before, const char *behind)
{
	auto_buffer text = {0};

	buffer_add_text(&text, before);
	buffer_add(&text, row->text, row->size);
	buffer_add_text(&text, behind);
	return scanner_takes(text.data, text.size);
}

static void judge(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		CHECK_ROW(rows[i].section,
			  grammar_takes(rows[i].text, rows[i].size) == rows[i].is_json);
		CHECK_ROW(rows[i].section,
			  scanner_takes(rows[i].text, rows[i].size) == rows[i].is_json);
		CHECK_ROW(rows[i].section,
			  scanner_takes_inside(&rows[i], "{\"a\":[[],", "]}") == rows[i].is_json ||
				  strchr(rows[i].text, ','));
		CHECK_ROW(rows[i].section,
			  scanner_takes_inside(&rows[i], "[{\"a\":", " \t}]") == rows[i].is_json ||
				  strchr(rows[i].text, ','));
	}
}

static void section_2_structure(void)
{
	judge(structure_rows, ARRAY_SIZE(structure_rows));
}

static void section_3_values(void)
{
	judge(value_rows, ARRAY_SIZE(value_rows));
}

static void section_4_objects(void)
{
	judge(object_rows, ARRAY_SIZE(object_rows));
}

static void section_5_arrays(void)
{
	judge(array_rows, ARRAY_SIZE(array_rows));
}

static void section_6_numbers(void)
{
	judge(number_rows, ARRAY_SIZE(number_rows));
}

static void section_7_strings(void)
{
	judge(string_rows, ARRAY_SIZE(string_rows));
}

static void section_8_1_character_encoding(void)
{
	judge(utf8_rows, ARRAY_SIZE(utf8_rows));
}

static void section_8_3_string_comparison(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++) {
		struct scan_span a = {0, strlen(comparisons[i].a)};
		struct scan_span b = {0, strlen(comparisons[i].b)};

		CHECK_ROW(comparisons[i].a, scan_text_equal(comparisons[i].a, a, comparisons[i].b,
							    b) == comparisons[i].is_equal);
		CHECK_ROW(comparisons[i].a, scan_text_equal(comparisons[i].b, b, comparisons[i].a,
							    a) == comparisons[i].is_equal);
	}
}

static void section_9_limit_of_depth(void)
{
	for (size_t depth = SCAN_MAX_DEPTH - 1; depth <= SCAN_MAX_DEPTH + 1; depth++) {
		auto_free char *text = xmalloc(2 * depth);

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		CU_ASSERT_EQUAL(scanner_takes(text, 2 * depth), depth <= SCAN_MAX_DEPTH);
		CU_ASSERT_EQUAL(grammar_takes(text, 2 * depth), depth <= SCAN_MAX_DEPTH);
	}
}

CHECK_MAIN("scan_rfc8259", CHECK(section_2_structure), CHECK(section_3_values),
	   CHECK(section_4_objects), CHECK(section_5_arrays), CHECK(section_6_numbers),
	   CHECK(section_7_strings), CHECK(section_8_1_character_encoding),
	   CHECK(section_8_3_string_comparison), CHECK(section_9_limit_of_depth))
