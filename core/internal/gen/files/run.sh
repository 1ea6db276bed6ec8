#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# {%.Header%}
# Finds outlast and becomes it: its inputs are variables, its exit code is ours,
# and the signals of a cancelled job reach it.
get_outlast() (
{%.Script%})
program=$(get_outlast) || exit $?
exec "$program" deploy
