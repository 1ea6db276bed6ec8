// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// TestTheImage builds the image of our Dockerfile with outlast itself, and
// deploys from a container of it: as a user who is not root by the lab's BuildKit,
// then without a daemon.
func TestTheImage(t *testing.T) {
	w := begin(t)
	firstDeploy(t, w)
	root := w.unpack(t, w.ship(t))
	for version, how := range map[string]struct {
		name       string
		daemonless bool
	}{"v2": {"as a user who is not root, by the lab's BuildKit", false}, "v3": {"without a daemon, in a privileged container", true}} {
		t.Run(how.name, func(t *testing.T) {
			w.commit(t, "Make "+version+" "+how.name)
			env := maps.Collect(func(yield func(string, string) bool) {
				for _, pair := range w.Lab.Env("deployer") {
					if n, v, _ := strings.Cut(pair, "="); !yield(n, v) {
						return
					}
				}
			})
			env["OUTLAST_BUILD_ARG"] += "\nVERSION=" + version
			env["OUTLAST_ENVIRONMENT"], env["HOME"] = "dev", "/root"
			mounts := []string{w.Dir + ":/work", w.Lab.Path("docker") + ":" + w.Lab.Path("docker")}
			if how.daemonless {
				delete(env, "BUILDKIT_HOST")
				env["XDG_CACHE_HOME"] = "/cache"
				mounts = append(mounts, t.TempDir()+":/cache", w.Lab.Path("buildkit", "buildkitd.toml")+":/etc/buildkit/buildkitd.toml")
			} else {
				mounts = append(mounts, w.Lab.Path("buildkit")+":"+w.Lab.Path("buildkit"))
				env["HOME"] = "/tmp"
				owner(t, w.Dir, 65532)
			}
			cmd := container(t, root, how.daemonless, env, mounts, "outlast", "deploy")
			stop, sent := w.send(t)
			time.Sleep(2 * time.Second)
			out, err := cmd.CombinedOutput()
			owner(t, w.Dir, os.Getuid())
			time.Sleep(5 * time.Second)
			stop()
			r := <-sent
			t.Logf("%d requests, %d failed, %d missed, versions %v", r.Sent, r.Failed, r.Missed, r.Versions)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if r.Failed > 0 || r.Missed > 0 || r.Sent < 1000 {
				t.Errorf("requests: %+v", r.Failures)
			}
			if got := w.version(t); got != version {
				t.Errorf("the balancer answers with %s, want %s", got, version)
			}
			if started := strings.Contains(string(out), "it is started for this build"); started != how.daemonless {
				t.Errorf("a daemon of its own: %v\n%s", started, out)
			}
		})
	}
}

// ship builds and pushes the image, and gives its reference.
func (w *world) ship(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"Dockerfile", ".dockerignore"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(w.Outlast)
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.WriteFile(filepath.Join(dir, "bin", "outlast"), program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	mirror := w.Lab.Registry() + "/mirror/"
	other := *w.Trial
	other.Dir = dir
	run, err := other.Run(t.Context(), trial.Command{Args: []string{"push", "--app", "outlast", "--repository", "outlast", "--tag", "e2e-" + time.Now().UTC().Format("20060102-150405")},
		Env: []string{"OUTLAST_BUILD_ARG=PROGRAM=prebuilt\nBASE_IMAGE=" + mirror + "scm:latest\nBUILDKIT_IMAGE=" + mirror + "buildkit:latest"}})
	if err != nil || run.Exit != 0 {
		t.Fatalf("pushing the image: exit %d, %v\n%s", run.Exit, err, run.Stderr)
	}
	return strings.TrimSpace(run.Stdout)
}

// unpack gives the image's files in a folder.
func (w *world) unpack(t *testing.T, ref string) string {
	t.Helper()
	user, password, err := cluster.Login(t.Context(), w.Lab, "deployer")
	if err != nil {
		t.Fatal(err)
	}
	full, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(full, remote.WithContext(t.Context()), remote.WithAuth(&authn.Basic{Username: user, Password: password}))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	files := mutate.Extract(img)
	defer files.Close()
	tar := exec.Command("tar", "-x", "-C", root)
	tar.Stdin = files
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", ref, err, out)
	}
	return root
}

// owner gives a folder to a user, as a CI does with its checkout.
func owner(t *testing.T, dir string, uid int) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { return errors.Join(err, os.Lchown(path, uid, uid)) }); err != nil {
		t.Fatal(err)
	}
}

// container gives the command that runs a program in a container by runc, in
// the host's network, as a CI's job has it: as root with all rights or, when not privileged, as user 65532,
// whose second group may use the builder's socket. mounts are FROM:TO.
func container(t *testing.T, root string, privileged bool, env map[string]string, mounts []string, args ...string) *exec.Cmd {
	t.Helper()
	bundle := t.TempDir()
	spec := exec.Command("runc", "spec", "--bundle", bundle)
	if out, err := spec.CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	path := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["terminal"], process["args"], process["cwd"] = false, args, "/work"
	// As the image says: git takes a checkout of another owner, and where programs are.
	pairs := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}
	for _, n := range slices.Sorted(maps.Keys(env)) {
		pairs = append(pairs, n+"="+env[n])
	}
	process["env"] = pairs
	config["root"] = map[string]any{"path": root, "readonly": false}
	all := config["mounts"].([]any)
	for _, m := range mounts {
		from, to, _ := strings.Cut(m, ":")
		all = append(all, map[string]any{"destination": to, "source": from, "type": "bind", "options": []string{"rbind", "rw"}})
	}
	linux := config["linux"].(map[string]any)
	linux["namespaces"] = slices.DeleteFunc(linux["namespaces"].([]any), func(n any) bool { return n.(map[string]any)["type"] == "network" })
	if !privileged {
		process["user"] = map[string]any{"uid": 65532, "gid": 65532, "additionalGids": []int{0}}
		delete(process, "capabilities")
	} else {
		caps := capabilities(t)
		process["capabilities"] = map[string]any{"bounding": caps, "effective": caps, "permitted": caps}
		delete(linux, "maskedPaths")
		delete(linux, "readonlyPaths")
		linux["resources"] = map[string]any{"devices": []any{map[string]any{"allow": true, "access": "rwm"}}}
		for _, m := range all {
			if m := m.(map[string]any); m["destination"] == "/sys/fs/cgroup" || m["destination"] == "/sys" {
				m["options"] = slices.DeleteFunc(m["options"].([]any), func(o any) bool { return o == "ro" })
			}
		}
	}
	config["mounts"] = all
	if text, err = json.Marshal(config); err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "runc", "run", "--bundle", bundle, "outlast-e2e-"+filepath.Base(bundle))
}

// capabilities lists those that this process may give away, in the order of their bits.
func capabilities(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var mask uint64
	for line := range strings.Lines(string(text)) {
		if hex, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			if mask, err = strconv.ParseUint(strings.TrimSpace(hex), 16, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	for bit, name := range strings.Fields("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP") {
		if mask&(1<<bit) != 0 {
			all = append(all, "CAP_"+name)
		}
	}
	return all
}
