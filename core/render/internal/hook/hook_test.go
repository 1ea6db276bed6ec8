// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

func TestRead(t *testing.T) {
	for name, tc := range map[string]struct {
		preStop string // flow YAML
		seconds drain.Seconds
		known   bool
		native  bool
		rest    drain.Seconds
		more    bool
		program string
		what    string
		time    string // path of the time in an exec hook
	}{
		"sleep":                              {preStop: "sleep: {seconds: 40}", seconds: 40, known: true, native: true, what: "sleep"},
		"sleep of a time in quotes":          {preStop: `sleep: {seconds: "40"}`, seconds: 40, known: true, native: true, what: "sleep"},
		"sleep without a time":               {preStop: "sleep: {}", known: true, native: true, what: "sleep"},
		"sleep of less than nothing":         {preStop: "sleep: {seconds: -5}", known: true, native: true, what: "sleep"},
		"sleep of more than a day":           {preStop: "sleep: {seconds: 100000}", seconds: 86_400, known: true, native: true, what: "sleep"},
		"exec of sleep":                      {preStop: "exec: {command: [sleep, '40']}", seconds: 40, known: true, program: "sleep", what: "exec sleep 40", time: "exec.command[1]"},
		"exec of sleep by its path":          {preStop: "exec: {command: [/usr/bin/sleep, '40']}", seconds: 40, known: true, program: "/usr/bin/sleep", time: "exec.command[1]"},
		"exec of the sleep of a debug image": {preStop: "exec: {command: [/busybox/sleep, '40']}", seconds: 40, known: true, program: "/busybox/sleep", time: "exec.command[1]"},
		"exec of busybox sleep":              {preStop: "exec: {command: [/bin/busybox, sleep, '40']}", seconds: 40, known: true, program: "/bin/busybox", time: "exec.command[2]"},
		"a number that YAML reads as one":    {preStop: "exec: {command: [sleep, 40]}", seconds: 40, known: true, program: "sleep", time: "exec.command[1]"},
		"seconds":                            {preStop: "exec: {command: [sleep, 40s]}", seconds: 40, known: true, program: "sleep", time: "exec.command[1]"},
		"minutes":                            {preStop: "exec: {command: [sleep, 2m]}", seconds: 120, known: true, program: "sleep", time: "exec.command[1]"},
		"hours":                              {preStop: "exec: {command: [sleep, 0.5h]}", seconds: 1800, known: true, program: "sleep", time: "exec.command[1]"},
		"a day":                              {preStop: "exec: {command: [sleep, 1d]}", seconds: 86_400, known: true, program: "sleep", time: "exec.command[1]"},
		"parts of a second are cut off":      {preStop: "exec: {command: [sleep, '39.999']}", seconds: 39, known: true, program: "sleep", time: "exec.command[1]"},
		"nothing":                            {preStop: "exec: {command: [sleep, '0']}", known: true, program: "sleep", time: "exec.command[1]"},
		"more than a day":                    {preStop: "exec: {command: [sleep, 2d]}", program: "sleep"},
		"two units, which no sleep takes":    {preStop: "exec: {command: [sleep, 1m30s]}", program: "sleep"},
		"two letters":                        {preStop: "exec: {command: [sleep, 5sm]}", program: "sleep"},
		"an exponent":                        {preStop: "exec: {command: [sleep, '1e3']}", program: "sleep"},
		"a hexadecimal number":               {preStop: "exec: {command: [sleep, '0x1p5']}", program: "sleep"},
		"infinity":                           {preStop: "exec: {command: [sleep, inf]}", program: "sleep"},
		"less than nothing":                  {preStop: "exec: {command: [sleep, '-5']}", program: "sleep"},
		"a sum, which some sleeps take":      {preStop: "exec: {command: [sleep, '20', '20']}", program: "sleep"},
		"sleep without a word behind it":     {preStop: "exec: {command: [sleep]}", program: "sleep"},
		"a variable, which exec leaves":      {preStop: "exec: {command: [sleep, $(TIME)]}", program: "sleep"},
		"sleepy":                             {preStop: "exec: {command: [sleepy, '40']}", program: "sleepy"},

		"a shell":                                  {preStop: "exec: {command: [/bin/sh, -c, sleep 40]}", seconds: 40, known: true, program: "/bin/sh", what: "exec /bin/sh -c sleep 40", time: "exec.command[2]"},
		"bash":                                     {preStop: "exec: {command: [/usr/bin/bash, -ec, exec sleep 40]}", seconds: 40, known: true, program: "/usr/bin/bash", time: "exec.command[2]"},
		"the shell of a debug image":               {preStop: "exec: {command: [/busybox/sh, -c, sleep 40]}", seconds: 40, known: true, program: "/busybox/sh", time: "exec.command[2]"},
		"busybox sh":                               {preStop: "exec: {command: [busybox, sh, -c, sleep 40]}", seconds: 40, known: true, program: "busybox", time: "exec.command[3]"},
		"busybox without an applet":                {preStop: "exec: {command: [busybox, -c, sleep 40]}", program: "busybox"},
		"a shell, spaces and a semicolon":          {preStop: `exec: {command: [sh, -c, "  /bin/sleep   40 ; "]}`, seconds: 40, known: true, program: "sh", time: "exec.command[2]"},
		"something after the sleep":                {preStop: "exec: {command: [sh, -c, sleep 15; nginx -s quit]}", seconds: 15, known: true, more: true, program: "sh", time: "exec.command[2]"},
		"something if it slept":                    {preStop: `exec: {command: [sh, -c, "sleep 15 && nginx -s quit"]}`, seconds: 15, known: true, more: true, program: "sh", time: "exec.command[2]"},
		"something if it did not":                  {preStop: `exec: {command: [sh, -c, "sleep 15 || exit 1"]}`, seconds: 15, known: true, program: "sh", time: "exec.command[2]"},
		"lines":                                    {preStop: `exec: {command: [sh, -c, "\n  sleep 1m # a minute\n  nginx -s quit\n"]}`, seconds: 60, known: true, more: true, program: "sh", time: "exec.command[2]"},
		"lines from Windows":                       {preStop: `exec: {command: [sh, -c, "sleep 40\r\nnginx -s quit\r\n"]}`, seconds: 40, known: true, more: true, program: "sh", time: "exec.command[2]"},
		"a sleep in the background":                {preStop: `exec: {command: [sh, -c, "sleep 300 & nginx -s quit"]}`, program: "sh"},
		"a sleep in a pipe":                        {preStop: `exec: {command: [sh, -c, "sleep 300 | false"]}`, program: "sh"},
		"a sleep whose input is not there":         {preStop: `exec: {command: [sh, -c, "sleep 300 < nothing"]}`, program: "sh"},
		"a sleep of a sum":                         {preStop: `exec: {command: [sh, -c, "sleep 20 20"]}`, program: "sh"},
		"a unit that runs into a word":             {preStop: `exec: {command: [sh, -c, "sleep 1m30s"]}`, program: "sh"},
		"a number that runs into a word":           {preStop: `exec: {command: [sh, -c, "sleep 30#1"]}`, program: "sh"},
		"two points":                               {preStop: `exec: {command: [sh, -c, "sleep 1.2.3"]}`, program: "sh"},
		"a sleep of a variable":                    {preStop: `exec: {command: [sh, -c, "sleep $TIME; true"]}`, program: "sh"},
		"a sleep that comes later":                 {preStop: `exec: {command: [sh, -c, "nginx -s quit; sleep 40"]}`, program: "sh"},
		"a sleep that is a comment":                {preStop: `exec: {command: [sh, -c, "# sleep 40"]}`, program: "sh"},
		"a sleep that is an argument":              {preStop: `exec: {command: [sh, -c, "echo sleep 40"]}`, program: "sh"},
		"a sleep on two lines":                     {preStop: `exec: {command: [sh, -c, "sleep\n40"]}`, program: "sh"},
		"a shell that reads a file":                {preStop: "exec: {command: [sh, script.sh, sleep 40]}", program: "sh"},
		"a shell with a long option":               {preStop: "exec: {command: [bash, --rcfile, sleep 40]}", program: "bash"},
		"a shell with a word too much":             {preStop: "exec: {command: [sh, -e, -c, sleep 40]}", program: "sh"},
		"a program":                                {preStop: "exec: {command: [/drain, --wait, 40s]}", program: "/drain", what: "exec /drain"},
		"exec of nothing":                          {preStop: "exec: {command: []}", what: "a handler that is no exec and no sleep"},
		"no command":                               {preStop: "exec: {}", what: "a handler that is no exec and no sleep"},
		"a command that is no list":                {preStop: "exec: {command: sleep 40}", what: "a handler that is no exec and no sleep"},
		"httpGet":                                  {preStop: "httpGet: {path: /drain, port: 80}", what: "httpGet"},
		"tcpSocket":                                {preStop: "tcpSocket: {port: 80}", what: "tcpSocket"},
		"a second sleep":                           {preStop: `exec: {command: [sh, -c, "sleep 5; sleep 1m"]}`, seconds: 65, rest: 60, known: true, program: "sh", what: "exec sh -c sleep 5; sleep 1m", time: "exec.command[2]"},
		"three, one after the other":               {preStop: `exec: {command: [sh, -c, "sleep 5 && sleep 6\nsleep 7; drain"]}`, seconds: 18, rest: 13, known: true, more: true, program: "sh", what: "exec sh: sleep 18 and more", time: "exec.command[2]"},
		"a sleep that comes only if another fails": {preStop: `exec: {command: [sh, -c, "sleep 5 || sleep 60"]}`, seconds: 5, known: true, program: "sh", time: "exec.command[2]"},
		"what follows exec never runs":             {preStop: `exec: {command: [sh, -c, "exec sleep 5; sleep 60"]}`, seconds: 5, known: true, program: "sh", time: "exec.command[2]"},
		"what ends at once":                        {preStop: `exec: {command: [sh, -c, "sleep 5; true; exit 0"]}`, seconds: 5, known: true, program: "sh", time: "exec.command[2]"},
		"a semicolon in quotes":                    {preStop: `exec: {command: [sh, -c, "echo 'sleep 5; sleep 60'"]}`, program: "sh"},
		"two sleeps in the background":             {preStop: `exec: {command: [sh, -c, "(sleep 5; sleep 60) &"]}`, program: "sh"},
		"a secret in a command":                    {preStop: `exec: {command: [sh, -c, "curl -H token:abc host; sleep 5"]}`, program: "sh", what: "exec sh"},
		"no script at all":                         {preStop: `exec: {command: [sh, -c, "sleep 5; )"]}`, program: "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Read(container(t, tc.preStop))
			if !h.Written || h.Seconds != tc.seconds || h.Known != tc.known || h.Native != tc.native || h.More != tc.more || h.Rest != tc.rest || h.Program != tc.program || node.Path(h.Time) != tc.time {
				t.Errorf("got %+v", h)
			}
			if tc.what != "" && h.What != tc.what {
				t.Errorf("called %q, want %q", h.What, tc.what)
			}
		})
	}
}

func container(t testing.TB, preStop string) *yaml.RNode {
	t.Helper()
	c, err := yaml.Parse("name: a\nlifecycle: {preStop: {" + preStop + "}}")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadNoHook(t *testing.T) {
	for name, text := range map[string]string{"no lifecycle": "name: a", "an empty one": "lifecycle: {}", "null": "lifecycle: {preStop: null}", "no handler": "lifecycle: {preStop: {}}", "a list": "lifecycle: {preStop: [1]}", "another hook": "lifecycle: {postStart: {sleep: {seconds: 40}}}"} {
		t.Run(name, func(t *testing.T) {
			if h := Read(yaml.MustParse(text)); h.Written || !h.Known || h.Seconds != 0 {
				t.Errorf("got %+v", h)
			}
		})
	}
}

func TestResleep(t *testing.T) {
	for text, want := range map[string]string{
		"sleep 5; sleep 60": "sleep 90; sleep 60", "# a\nsleep 5 # b": "# a\nsleep 90 # b", "echo; sleep 5": "echo; sleep 5",
		"10": "90", "1.5m": "90", "sleep 10": "sleep 90", "  exec /bin/sleep 10s ; nginx -s quit": "  exec /bin/sleep 90 ; nginx -s quit",
		"\nsleep 1h # long\nsleep 2\n": "\nsleep 90 # long\nsleep 2\n", "sleep 10\r\n": "sleep 90\r\n", "sleep 10&": "sleep 10&", "nothing": "nothing", "": "",
	} {
		if got := Resleep(text, 90); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// FuzzHook: what is read as a sleep reads as the new time after it was changed,
// and nothing else of the script changes.
func FuzzHook(f *testing.F) {
	for _, script := range []string{"sleep 10", "exec /bin/sleep 1.5m; nginx -s quit", "\nsleep 1h # x\ny", "sleep 1 && a || b", "sleep 9&", "sleep 1m30s", "sleep 99999999999", "sleep 0.0000000001d"} {
		f.Add(script, 90)
	}
	f.Fuzz(func(t *testing.T, script string, want int) {
		want = min(max(want, 0), longest)
		for _, words := range [][]string{{"sh", "-c", script}, {"sleep", script}} {
			h := Hook{}
			h.command(words)
			if h.Seconds < 0 || h.Seconds > longest || !h.Known && (h.Seconds != 0 || h.More || h.Time != nil) || h.Known && h.Time == nil {
				t.Fatalf("%q gives %+v", words, h)
			}
			if !h.Known {
				continue
			}
			last := len(words) - 1
			want := max(drain.Seconds(want), h.Rest) // of all sleeps together
			out := Resleep(words[last], want-h.Rest)
			again := Hook{}
			again.command(append(append([]string{}, words[:last]...), out))
			if !again.Known || again.Seconds != want || again.More != h.More {
				t.Fatalf("%q becomes %q, which gives %+v", words[last], out, again)
			}
			if strings.Map(dropNumber, out) != strings.Map(dropNumber, words[last]) {
				t.Fatalf("%q becomes %q: more than the time has changed", words[last], out)
			}
		}
	})
}

// dropNumber takes away what a time is made of.
func dropNumber(r rune) rune {
	if strings.ContainsRune("0123456789.smhd", r) {
		return -1
	}
	return r
}

// TestForwards: sh is dash, so that a word of bash or busybox is the first one.
func TestForwards(t *testing.T) {
	for script, want := range map[string]bool{
		"sh serve": false, "/bin/dash serve --port 80": false, "/bin/sh a && serve": false, "sh prepare; exec serve": true, "sh trap stop TERM; serve & wait": true, "sh a && exec b || c": true,
		"bash serve": true, "/bin/bash prepare; serve": true, "bash prepare && serve": true, "busybox prepare; serve": true, "ash X=1 serve": true,
		"bash serve >/dev/null": false, "bash serve | log": false, "bash serve & wait": false, "bash serve; echo ended": false, "bash serve || b": false, "bash while true; do serve; done": false, "bash serve &": false, "bash { serve; }": false,
		"sh echo exec serve": false, "sh echo 'exec b; trap'": false, "bash /bin/echo 'a;b'": true,
		"sh ": true, "sh this is ( no script": true,
	} {
		shell, text, _ := strings.Cut(script, " ")
		if got := Forwards(shell, text); got != want {
			t.Errorf("%q: %v", script, got)
		}
	}
}
