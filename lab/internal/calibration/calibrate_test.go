// SPDX-License-Identifier: Apache-2.0

package calibration

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

// calibrate runs the script. path goes before PATH.
func calibrate(t *testing.T, path string, args ...string) (out, said string, exit int) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(repository, "docs", "calibrate", "calibrate"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// seen is a folder of the script's: events, and lines of a balancer or an application.
func seen(t *testing.T, events string, lines []accesslog.Entry, app map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, text []byte) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("events", []byte(events))
	for name, text := range app {
		write(name, []byte(text))
	}
	for i, e := range lines {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(e.AppendLine(nil))
		_ = z.Close()
		write(fmt.Sprintf("alb/%d.log.gz", i), b.Bytes())
	}
	return dir
}

// at is a moment of the tests: seconds after the first pod was deleted.
func at(seconds float64) time.Time {
	return time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func event(round int, seconds float64, what string) string {
	return fmt.Sprintf("%d %.3f %s\n", round, float64(at(seconds).UnixMilli())/1000, what)
}

// round is one whose target was draining after 1.5 s and unused 44 s later.
func round(n int, from float64, pod, ip, kind string) string {
	return event(n, from-3, "pod "+pod+" "+ip+" 1325 40 "+kind) + event(n, from, "deleted") + event(n, from+0.2, "state healthy") +
		event(n, from+1.5, "state draining") + event(n, from+43, "state draining") + event(n, from+44, "state unknown") + event(n, from+45.5, "state unused")
}

func line(target string, seconds float64) accesslog.Entry {
	return accesslog.Entry{Type: "http", Created: at(seconds), Time: at(seconds + 5), LoadBalancer: "app/web/1", Client: "10.9.9.9:1", Target: target, Status: 200, TargetStatus: 200,
		Request: "GET http://web.test:80/a b HTTP/1.1", UserAgent: `a "quoted" one, 10.0.0.1:1325`}
}

func TestTheTableIsOfWhatWasSeen(t *testing.T) {
	one := round(1, 0, "web-1", "10.0.0.1", "alb")
	for name, tt := range map[string]struct {
		events string
		lines  []accesslog.Entry
		app    map[string]string
		exit   int
		want   []string // rows, with one space between their cells
	}{
		"one round, by the access log": {one,
			[]accesslog.Entry{line("10.0.0.1:1325", -5), line("10.0.0.1:1325", 13.25), line("10.0.0.1:1325", 2), line("10.0.0.2:1325", 30), line("", 40)}, nil, 0,
			[]string{"1 web-1 1.5 11.8 13.2 4.0 1", "most 1.5 11.8 13.2 4.0", "J to 2.5 s"}},
		"two rounds, the second with a slower balancer": {one + round(2, 100, "web-2", "10.0.0.2", "alb"),
			[]accesslog.Entry{line("10.0.0.1:1325", -5), line("10.0.0.1:1325", 13), line("10.0.0.2:1325", 90), line("10.0.0.2:1325", 95), line("10.0.0.2:1325", 119.5)}, nil, 0,
			[]string{"1 web-1 1.5 11.5 13.0 4.0 1", "2 web-2 1.5 18.0 19.5 4.0 2", "most 1.5 18.0 19.5 4.0"}},
		"an address that somebody had before and has again": {one,
			[]accesslog.Entry{line("10.0.0.1:1325", -600), line("10.0.0.1:1325", -5), line("10.0.0.1:1325", 12), line("10.0.0.1:1325", 300)}, nil, 0,
			[]string{"1 web-1 1.5 10.5 12.0 4.0 1"}},
		"no request after the target was draining": {one, []accesslog.Entry{line("10.0.0.1:1325", -5)}, nil, 0, []string{"1 web-1 1.5 0.0 1.5 4.0 1"}},
		"by the application's log": {round(1, 0, "web-1", "10.0.0.1", "app"), nil,
			map[string]string{"app.1.log": "2026-11-29T09:59:58.5Z GET /\n2026-11-29T10:00:15.123456789Z GET /\n2026-11-29T10:00:40Z bye\n"}, 0,
			[]string{"1 web-1 1.5 13.6 15.1 4.0 1"}},
		"nothing was sent to the pod":     {one, []accesslog.Entry{line("10.0.0.2:1325", -5)}, nil, 1, []string{"1 web-1 1.5 - - 4.0 0", "1 of 1 rounds had no request"}},
		"there is no log at all":          {one, nil, nil, 1, []string{"1 of 1 rounds had no request"}},
		"the target was never draining":   {event(1, -3, "pod web-1 10.0.0.1 1325 40 alb") + event(1, 0, "deleted") + event(1, 1, "state unused"), []accesslog.Entry{line("10.0.0.1:1325", -5)}, nil, 1, []string{"1 web-1 - - - - 1", "no draining target"}},
		"one of two rounds without a log": {one + round(2, 100, "web-2", "10.0.0.2", "alb"), []accesslog.Entry{line("10.0.0.1:1325", -5), line("10.0.0.1:1325", 13)}, nil, 1, []string{"1 of 2 rounds had no request"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, said, exit := calibrate(t, "", "-p", "GET", "-R", seen(t, tt.events, tt.lines, tt.app))
			plain := regexp.MustCompile(` +`).ReplaceAllString(out, " ")
			if exit != tt.exit {
				t.Errorf("exit %d, want %d: %s", exit, tt.exit, said)
			}
			for _, want := range tt.want {
				if !strings.Contains(plain, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
		})
	}
}

// An AWS CLI and a kubectl that know one pod, whose target is draining when it is asked for
// the third time after the deletion, and gone at the sixth: by no clock, which a script that
// a busy machine delays could find past the end of it all.
const (
	fakeAWS = `#!/bin/sh
case "$*" in
*describe-target-group-attributes*) echo 2 ;;
*describe-target-groups*) echo arn:aws-cn:elasticloadbalancing:cn-northwest-1:123456789012:loadbalancer/app/web/0123 ;;
*s3.enabled*) echo true ;;
*s3.bucket*) echo logs ;;
*s3.prefix*) echo None ;;
*length*) cat @/healthy ;;
*Target.Port*) echo 1325 ;;
*Target.Id=*|*Id=10.0.0.1,Port=1325*)
	[ -e @/deleted ] || { echo healthy; exit; }
	echo >>@/asked
	case $(wc -l <@/asked) in
	1) echo healthy ;;
	2) echo "An error occurred (Throttling)" >&2; exit 254 ;;
	3 | 4 | 5) echo draining ;;
	*) echo "An error occurred (InvalidTarget)" >&2; exit 254 ;;
	esac ;;
*s3\ cp*) shift 4
	echo "$1" >>@/copied
	mkdir -p "$2" && gzip -c @/line >"$2/x.log.gz" ;;
*) echo "aws $*: what is that?" >&2; exit 2 ;;
esac
`
	fakeKubectl = `#!/bin/sh
case "$*" in
*targetgroupbindings*) echo arn:aws-cn:elasticloadbalancing:cn-northwest-1:123456789012:targetgroup/web/1 ;;
*spec.replicas*) echo 2 ;;
*matchLabels*) echo '{"app":"web","tier":"front"}' ;;
*"get pods"*app=web,tier=front*) printf 'old 10.0.0.9 2026-11-29T10:00:00Z\nweb-1 10.0.0.1 \nweb-2 10.0.0.2 \n' ;;
*"delete pod web-1"*) date +%s >@/deleted
	for second in -5 9; do
		sed "s/CREATED/$(date -u -d "$second seconds" +%Y-%m-%dT%H:%M:%S.000000Z)/" @/template
	done >@/line ;;
*) echo "kubectl $*: what is that?" >&2; exit 2 ;;
esac
`
)

func TestMeasuring(t *testing.T) {
	for name, tt := range map[string]struct {
		healthy, replicas string
		want              string // in what is printed
		exit              int
	}{
		"a pod of two":           {"2", "2", "web-1", 0},
		"the only pod is spared": {"1", "1", "with fewer than 2 the application would be gone", 1},
	} {
		t.Run(name, func(t *testing.T) {
			world := t.TempDir()
			e := line("10.0.0.1:1325", 0)
			text := strings.Replace(string(e.AppendLine(nil)), e.Created.Format("2006-01-02T15:04:05.000000Z"), "CREATED", 1)
			for file, text := range map[string]string{"aws": fakeAWS, "kubectl": strings.Replace(fakeKubectl, "echo 2 ;;", "echo "+tt.replicas+" ;;", 1), "healthy": tt.healthy + "\n", "template": text} {
				if err := os.WriteFile(filepath.Join(world, file), []byte(strings.ReplaceAll(text, "@", world)), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			out, said, exit := calibrate(t, world, "-n", "web", "-d", "web", "-r", "1", "-w", "0")
			most := 10 + time.Since(began).Seconds()
			if exit != tt.exit || !strings.Contains(out+said, tt.want) {
				t.Fatalf("exit %d, want %d: %s%s", exit, tt.exit, out, said)
			}
			deleted, err := os.ReadFile(filepath.Join(world, "deleted"))
			if (err == nil) != (tt.exit == 0) {
				t.Errorf("was a pod deleted? %v", err)
			}
			if exit != 0 {
				return
			}
			copied, _ := os.ReadFile(filepath.Join(world, "copied"))
			second, err := strconv.ParseInt(strings.TrimSpace(string(deleted)), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if want := "s3://logs/AWSLogs/123456789012/elasticloadbalancing/cn-northwest-1/" + time.Unix(second, 0).UTC().Format("2006/01/02") + "/"; !strings.Contains(string(copied), want) {
				t.Errorf("copied %q, want %s", copied, want)
			}
			row := regexp.MustCompile(`1 +web-1 +([0-9.]+) +([0-9.]+) +([0-9.]+) +([0-9.-]+) +1\n`).FindStringSubmatch(out)
			if row == nil {
				t.Fatalf("no row in\n%s", out)
			}
			var l, p, both, j float64
			if _, err := fmt.Sscan(strings.Join(row[1:], " "), &l, &p, &both, &j); err != nil {
				t.Fatal(err)
			}
			// The last request comes 9 s after the deletion, by a clock of whole seconds; a busy machine adds what it takes.
			if l < 1 || l > most || both < 8 || both > most || j < -30 || j > most {
				t.Errorf("L, P, L+P and J are %v, %v, %v, %v, want about 2, 7, 9 and 1", l, p, both, j)
			}
		})
	}
}
