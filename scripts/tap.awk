# SPDX-License-Identifier: GPL-2.0
#
# Reads the TAP of several programs, each between "@@ begin NAME" and
# "@@ end NAME STATUS". Shows each result in a line, what a failed test said
# before it, and what is wrong with a program as a whole: no results, results
# missing, a bad end. Appends "passed failed skipped" to the file `counts`.

# In one piece: other guests report to the same terminal.
function result(word, text, more)
{
	printf "  %-5s %s: %s\n%s", word, name, text, more
	fflush()
}

function failure(text)
{
	result("FAIL", text, said)
	said = ""
	failed++
	bad++
}

function check_plan()
{
	if (plan >= 0 && seen != plan)
		failure("planned " plan " tests, reported " seen)
	plan = -1
	seen = 0
}

BEGIN { plan = -1 }

/^@@ begin / {
	name = $3
	said = ""
	plan = -1
	seen = results = bad = 0
	next
}

/^@@ end / {
	check_plan()
	if ($4 == 4 && !results) {
		result("skip", "the whole program")
		skipped++
	} else if (!results) {
		failure("no results, exit status " $4)
	} else if ($4 != 0 && $4 != 4 && !bad) {
		failure("exit status " $4)
	}
	name = ""
	next
}

# A second plan without a second beginning: the next suite of KUnit. One that comes
# after results, and is the first, is a plan of these.
/^1\.\.[0-9]+/ {
	if (plan >= 0 || !seen)
		check_plan()
	plan = substr($1, 4) + 0
	next
}

name != "" && /^(not )?ok [0-9]+/ {
	seen++
	results++
	text = $0
	sub(/^(not )?ok [0-9]+ *(- )?/, "", text)
	if (/^not ok/ && !/# TODO/) {
		failure(text)
	} else if (/# SKIP/) {
		result("skip", text)
		skipped++
	} else {
		result("ok", text)
		passed++
	}
	said = ""
	next
}

{ said = said "        " $0 "\n" }

END {
	if (name != "")
		failure("did not end")
	print passed + 0, failed + 0, skipped + 0 >> counts
}
