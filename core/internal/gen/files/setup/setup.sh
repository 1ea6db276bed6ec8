#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# {%.Header%}
# Finds outlast and puts it on the PATH of the job's later steps.
set -eu

get_outlast() (
{%.Script%})
program=$(get_outlast) || exit $?

# Both files take a value a line: a path with a line break would be two.
case $program in
*'
'*)
	printf 'outlast setup: the path of the program has a line break: %s\n' "$program" >&2
	exit 2
	;;
esac
"$program" version >/dev/null || {
	printf 'outlast setup: %s version failed: it is no outlast, or not for this machine\n' "$program" >&2
	exit 4
}
folder=${program%/*}
case ${program##*/} in
outlast | outlast.exe) ;;
*) # of another name, so that a link is what is on PATH
	folder=$(mktemp -d "${RUNNER_TEMP:-/tmp}/outlast.XXXXXX")
	ln -s "$program" "$folder/outlast"
	;;
esac
printf '%s\n' "$folder" >>"$GITHUB_PATH"
printf 'binary=%s\n' "$program" >>"$GITHUB_OUTPUT"
printf 'outlast setup: %s is on PATH\n' "$program" >&2
