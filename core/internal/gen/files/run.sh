#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# {%.Header%}
# Finds outlast and becomes it: its inputs are variables, its exit code is ours,
# and the signals of a cancelled job reach it.

# An input of a CI that cannot leave a variable out comes as INPUT_NAME; it counts
# when it is not empty, before a variable OUTLAST_NAME of the job or the project.
for name in{%range .Inputs%} {%.Upper%}{%end%}; do
	eval "value=\${INPUT_$name:-}"
	# shellcheck disable=SC2154
	[ -z "$value" ] || eval "export OUTLAST_$name=\$value"
done

# The CI looks for outputs and reports in .outlast of the folder where the job is.
# Those of an earlier run of the workspace would pass for this one's.
OUTLAST_OUTPUT_DIR=${OUTLAST_OUTPUT_DIR:-$PWD/.outlast}
export OUTLAST_OUTPUT_DIR
case $OUTLAST_OUTPUT_DIR in
/*) outputs=$OUTLAST_OUTPUT_DIR ;;
*) outputs=${OUTLAST_WORKING_DIRECTORY:-.}/$OUTLAST_OUTPUT_DIR ;;
esac
rm -f "$outputs/outputs.env" "$outputs/report.xml"

get_outlast() (
{%.Script%})
program=$(get_outlast) || exit $?
exec "$program" {%.Command%}
