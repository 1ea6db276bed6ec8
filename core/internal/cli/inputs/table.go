// SPDX-License-Identifier: Apache-2.0

// Package inputs holds the one table of inputs, and reads them: from flags,
// OUTLAST_ variables and outlast.yaml, in that order of precedence.
package inputs

import (
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core"
)

// Input is one row of the table: a flag, an OUTLAST_ variable and, when Key is
// set, a key of outlast.yaml. An empty value means unset.
type Input struct {
	Name    string   // flag; the variable is OUTLAST_ and the name in capitals with _
	Key     string   // in outlast.yaml, dots for nesting; empty: not there
	Kind    Kind     //
	Choices []string // allowed words of a choice
	Stages  string   // stages that read it, or "all", or getOutlast
	Doc     string   // one line
	Unset   string   // what holds when it is unset
	Rare    bool     // left out of `deploy --help`, which fits a screen
	Secret  bool     // a variable only: flags and files and most CIs' inputs are seen by others
	Aliases []string // other names that people know from other tools; flags and variables only
}

// Kind is the type of an input's value.
type Kind string

// The kinds. A list is given by repeating the flag, or by one item a line in
// the variable.
const (
	Text     Kind = "text"
	Choice   Kind = "choice"
	Duration Kind = "duration"
	Boolean  Kind = "boolean"
	List     Kind = "list"
)

// Group is a part of the table under a heading.
type Group struct {
	Title  string
	Inputs []Input
}

// Variable is the input's name in the environment.
func (in Input) Variable() string { return variable(in.Name) }

func variable(name string) string {
	return "OUTLAST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Names are the input's flags: its own name, then its aliases.
func (in Input) Names() []string { return append([]string{in.Name}, in.Aliases...) }

// ReadBy tells whether a command has the input as a flag.
func (in Input) ReadBy(command string) bool {
	switch {
	case in.Stages == getOutlast || in.Secret:
		return false
	case strings.HasPrefix(in.Name, "probe-") || in.Name == "alarm": // a rollback does without: the service may fail already
		return command == "deploy" || command == "gate"
	case slices.Contains([]string{"from", "to", "pull-request"}, in.Name):
		return command == "deploy"
	case command == "check": // what rendering reads, and how to reach the cluster
		return !slices.Contains([]string{"report", "progress", "output-dir", "gate-interval", "drain-policy", "namespace", "on-failure", "keep-revisions", "steal-lock", "rollout", "legacy-pods", "plan"}, in.Name) && (in.Stages == "all" || strings.Contains(in.Stages, "render") || strings.Contains(in.Stages, "gate"))
	case command == "rollback" && slices.Contains([]string{"rollout", "legacy-pods"}, in.Name):
		return true
	case slices.Contains(Records, command): // what finds the records, and what a rollback waits by
		return slices.Contains([]string{"manifests", "root"}, in.Name) || !slices.Contains([]string{"report", "on-failure", "rollout", "legacy-pods", "plan"}, in.Name) && (in.Stages == "all" || strings.Contains(in.Stages, "apply") || command == "rollback" && in.Stages == "gate")
	case command == "plan": // what a deploy would render and how it would apply that
		return !slices.Contains([]string{"report", "plan", "progress", "output-dir", "steal-lock", "on-failure", "keep-revisions"}, in.Name) && (in.Stages == "all" || strings.Contains(in.Stages, "render") || strings.Contains(in.Stages, "apply"))
	case in.Stages == "all" || command == "deploy":
		return true
	case command == "push": // which builds first: layouts do not travel between jobs
		return strings.Contains(in.Stages, "push") || strings.Contains(in.Stages, "build")
	}
	return strings.Contains(in.Stages, command)
}

// Records are the commands that work on what the cluster remembers of deploys.
var Records = []string{"rollback", "history", "status"}

// ForGetOutlast tells whether only the script that finds the program reads the
// input.
func (in Input) ForGetOutlast() bool { return in.Stages == getOutlast }

// getOutlast marks the inputs of the script that finds the program for a
// wrapper: variables that the program itself only has to know.
const getOutlast = "get-outlast"

// All lists the inputs of every group.
func All() (all []Input) {
	for _, g := range Table {
		all = append(all, g.Inputs...)
	}
	return all
}

// Table is the one table.
var Table = []Group{
	{"What is shipped, and where to", []Input{
		{Name: "working-directory", Kind: Text, Stages: "all", Doc: "folder to work in, as if outlast was started there", Unset: "the current one", Rare: true, Aliases: []string{"workdir"}},
		{Name: "environment", Kind: Text, Stages: "all", Doc: "environment of outlast.yaml to deploy to", Unset: "the one whose branches match", Aliases: []string{"env"}},
		{Name: "config", Kind: Text, Stages: "all", Doc: "configuration file", Unset: "outlast.yaml here or in a parent folder up to the repository's top", Rare: true, Aliases: []string{"config-file"}},
		{Name: "app", Key: "app", Kind: Text, Stages: "all", Doc: "name of the application", Unset: "the name of the folder of outlast.yaml", Rare: true},
		{Name: "commit", Kind: Text, Stages: "all", Doc: "commit that is shipped", Unset: "what the CI or git says", Rare: true, Aliases: []string{"sha"}},
		{Name: "branch", Kind: Text, Stages: "all", Doc: "branch that is shipped", Unset: "what the CI or git says", Rare: true},
		{Name: "namespace", Key: "namespace", Kind: Text, Stages: "apply gate", Doc: "namespace of the deploys' records (lock and history), and of what gate and status look for", Unset: "that of the first workload", Rare: true},
		{Name: "run-url", Kind: Text, Stages: "all", Doc: "address of this CI run, for the report", Unset: "what the CI says", Rare: true},
		{Name: "unmatched", Key: "unmatched", Kind: Choice, Choices: []string{"error", "skip"}, Stages: "all", Doc: "what a branch without an environment does", Unset: "error", Rare: true},
	}},
	{"AWS and the cluster", []Input{
		{Name: "region", Key: "region", Kind: Text, Stages: "push apply gate", Doc: "AWS region", Unset: "what the AWS SDK finds (AWS_REGION, profile)", Aliases: []string{"aws-region"}},
		{Name: "cluster-name", Key: "clusterName", Kind: Text, Stages: "apply gate", Doc: "EKS cluster", Unset: "the kubeconfig, or the account of the pod", Aliases: []string{"cluster", "eks-cluster", "eks-cluster-name"}},
		{Name: "role-arn", Key: "roleArn", Kind: Text, Stages: "push apply gate", Doc: "AWS role to become, see identity", Unset: "none", Aliases: []string{"role", "role-to-assume", "aws-role-arn"}},
		{Name: "identity", Key: "identity", Kind: Choice, Choices: []string{"auto", "ci", "aws"}, Stages: "push apply gate", Doc: "who becomes role-arn: the CI by its ID token, or AWS credentials", Unset: "auto: ci when it gives a token and the job has no AWS key, profile or token file", Rare: true},
		{Name: "chain-role-arn", Key: "chainRoleArn", Kind: Text, Stages: "push apply gate", Doc: "second AWS role, assumed by role-arn (role chaining)", Unset: "none", Rare: true, Aliases: []string{"target-role-arn"}},
		{Name: "external-id", Key: "externalId", Kind: Text, Stages: "push apply gate", Doc: "external id for the role that is assumed last", Unset: "none", Rare: true, Aliases: []string{"role-external-id"}},
		{Name: "role-session-name", Key: "roleSessionName", Kind: Text, Stages: "push apply gate", Doc: "name of the role's session in CloudTrail", Unset: "outlast", Rare: true},
		{Name: "role-duration", Key: "roleDuration", Kind: Duration, Stages: "push apply gate", Doc: "life of a role's session, which is renewed in time", Unset: "1h", Rare: true, Aliases: []string{"role-duration-seconds"}},
		{Name: "id-token-audience", Key: "idTokenAudience", Kind: Text, Stages: "push apply gate", Doc: "audience of the CI's ID token", Unset: "the host of STS in the region's partition; on CircleCI the organization id", Rare: true, Aliases: []string{"audience", "oidc-audience"}},
		{Name: "id-token", Kind: Text, Stages: "push apply gate", Doc: "ID token (a JWT) for role-arn", Unset: "what the CI gives", Secret: true},
		{Name: "id-token-cn", Kind: Text, Stages: "push apply gate", Doc: "the same with the audience of the AWS partition of China; taken when the region is there", Unset: "none", Secret: true},
		{Name: "profile", Key: "profile", Kind: Text, Stages: "push apply gate", Doc: "AWS profile", Unset: "the SDK's default", Rare: true, Aliases: []string{"aws-profile"}},
		{Name: "ca-bundle", Key: "caBundle", Kind: Text, Stages: "all", Doc: "PEM file of more authorities to trust", Unset: "AWS_CA_BUNDLE", Rare: true, Aliases: []string{"ca-cert", "custom-ca-bundle"}},
		{Name: "kubeconfig", Key: "kubeconfig", Kind: Text, Stages: "apply gate", Doc: "kubeconfig file, when cluster-name is unset", Unset: "KUBECONFIG, then ~/.kube/config, then the pod's account", Rare: true},
		{Name: "kube-context", Key: "kubeContext", Kind: Text, Stages: "apply gate", Doc: "context of the kubeconfig", Unset: "its current one", Rare: true, Aliases: []string{"context-name"}},
	}},
	{"Images", []Input{
		{Name: "repository", Key: "repository", Kind: Text, Stages: "push", Doc: "ECR repository, or registry/path of another registry", Unset: "the image's own", Aliases: []string{"repo", "ecr-repository", "image-repository"}},
		{Name: "build-arg", Kind: List, Stages: "build", Doc: "build argument NAME=VALUE for every image", Unset: "none", Aliases: []string{"build-args"}},
		{Name: "tag", Kind: Text, Stages: "push", Doc: "tag to push besides the digest", Unset: "the commit, or commit-dirty-content when the tree differs from it", Aliases: []string{"tags", "image-tag"}},
		{Name: "image", Kind: List, Stages: "render", Doc: "NAME=REPOSITORY@DIGEST made elsewhere: pinned, not built", Unset: "none"},
		{Name: "dockerfile", Key: "dockerfile", Kind: Text, Stages: "build", Doc: "Dockerfile of a project with one image, below its context", Unset: "Dockerfile", Rare: true, Aliases: []string{"file"}},
		{Name: "context", Key: "context", Kind: Text, Stages: "build", Doc: "build context of a project with one image", Unset: "the folder of outlast.yaml", Rare: true, Aliases: []string{"build-context"}},
		{Name: "platform", Key: "platform", Kind: Text, Stages: "build", Doc: "platform to build for, e.g. linux/arm64", Unset: "the builder's own", Rare: true, Aliases: []string{"platforms"}},
		{Name: "builder", Key: "builder", Kind: Choice, Choices: []string{"buildkit", "docker"}, Stages: "build", Doc: "builder to use", Unset: "the first that answers", Rare: true},
		{Name: "no-cache", Kind: Boolean, Stages: "build", Doc: "build without cached steps", Unset: "false", Rare: true},
	}},
	{"Manifests and drain timings", []Input{
		{Name: "manifests", Key: "manifests", Kind: Text, Stages: "render", Doc: "kustomization directory, YAML file or directory of YAML", Unset: "kustomization.yaml, deploy/ENVIRONMENT or deploy/overlays/ENVIRONMENT", Aliases: []string{"overlay", "kustomize-dir", "kustomization"}},
		{Name: "drain-policy", Key: "drain.policy", Kind: Choice, Choices: []string{"fix", "warn", "enforce", "off"}, Stages: "render", Doc: "what to do with unsafe drain timings", Unset: "fix", Aliases: []string{"policy"}},
		{Name: "drain-mode", Key: "drain.mode", Kind: Choice, Choices: []string{"auto", "strict", "fast"}, Stages: "render", Doc: "strict: grace > preStop > deregistration delay, as values", Unset: "auto: strict when its grace fits the cap, else fast, which proves the inequalities behind the order"},
		{Name: "longest-request", Key: "drain.longestRequest", Kind: Duration, Stages: "render", Doc: "longest request to protect, R of the formulas", Unset: "30s"},
		{Name: "on-sigterm", Key: "drain.onSigterm", Kind: Choice, Choices: []string{"graceful", "abrupt"}, Stages: "render", Doc: "graceful: the application finishes requests after SIGTERM", Unset: "abrupt, which is safe for both"},
		{Name: "set", Kind: List, Stages: "render", Doc: "symbol of the drain formulas, e.g. P=30", Unset: "drain.set of outlast.yaml, then the planning values", Aliases: []string{"drain-set"}},
		{Name: "shutdown", Key: "drain.shutdown", Kind: Duration, Stages: "render", Doc: "time to end after SIGTERM when idle, S of the formulas", Unset: "5s", Rare: true},
		{Name: "request-timeout", Key: "drain.requestTimeout", Kind: Duration, Stages: "render", Doc: "the application's own request timeout, A of the formulas", Unset: "not known", Rare: true},
		{Name: "timeout-order", Key: "drain.timeoutOrder", Kind: Choice, Choices: []string{"app-first", "balancer-first"}, Stages: "render", Doc: "order of request timeout and idle timeout, delay last", Unset: "the order is only reported", Rare: true},
		{Name: "keep-alive", Key: "drain.keepAlive", Kind: Duration, Stages: "render", Doc: "idle time after which the application closes a connection, K", Unset: "not known", Rare: true},
		{Name: "idle-timeout", Key: "drain.idleTimeout", Kind: Duration, Stages: "render", Doc: "idle timeout of the balancer, where manifests set none, I", Unset: "60s", Rare: true},
		{Name: "kubelet-version", Key: "drain.kubeletVersion", Kind: Text, Stages: "render", Doc: "oldest kubelet of the nodes, e.g. 1.29", Unset: "1.30 or newer, which know a native sleep", Rare: true},
		{Name: "shell", Key: "drain.shell", Kind: Text, Stages: "render", Doc: "shell that all images have, for hooks of old kubelets", Unset: "none", Rare: true},
		{Name: "root", Key: "root", Kind: Text, Stages: "render", Doc: "folder that rendering may read", Unset: "the repository's top", Rare: true},
	}},
	{"The gate", []Input{
		{Name: "gate-timeout", Key: "gate.timeout", Kind: Duration, Stages: "gate", Doc: "longest wait of the gate", Unset: "computed from the timings and the replicas", Aliases: []string{"timeout", "wait-timeout"}},
		{Name: "gate-interval", Key: "gate.interval", Kind: Duration, Stages: "gate", Doc: "time between two polls of a target group", Unset: "5s", Rare: true},
		{Name: "probe-url", Key: "gate.probe.url", Kind: Text, Stages: "gate", Doc: "address to send requests to while the gate waits, as its users do", Unset: "no requests are sent", Rare: true},
		{Name: "probe-host", Key: "gate.probe.host", Kind: Text, Stages: "gate", Doc: "host name that the probe asks for, in the Host header and of TLS, while it connects to that of its address", Unset: "the address's", Rare: true},
		{Name: "probe-rate", Key: "gate.probe.rate", Kind: Text, Stages: "gate", Doc: "requests of the probe a second, at most 1000", Unset: "5", Rare: true},
		{Name: "probe-timeout", Key: "gate.probe.timeout", Kind: Duration, Stages: "gate", Doc: "longest wait of the probe for an answer", Unset: "5s", Rare: true},
		{Name: "probe-status", Key: "gate.probe.expectStatus", Kind: Text, Stages: "gate", Doc: "status codes that the probe expects, e.g. 200-299,404; redirects are not followed", Unset: "200-399", Rare: true},
		{Name: "probe-body", Key: "gate.probe.expectBody", Kind: Text, Stages: "gate", Doc: "regular expression that the body of an answer to the probe has to match", Unset: "any body will do", Rare: true},
		{Name: "probe-budget", Key: "gate.probe.budget", Kind: Text, Stages: "gate", Doc: "number of the probe's requests that may fail; one more fails the gate", Unset: "0", Rare: true},
		{Name: "alarm", Kind: List, Stages: "gate", Doc: "name of a CloudWatch alarm that fails the gate when it goes to ALARM after the rollout began", Unset: "gate.alarms of outlast.yaml", Rare: true, Aliases: []string{"alarms"}},
	}},
	{"The rollout", []Input{
		{Name: "plan", Kind: Text, Stages: "apply", Doc: "file of outlast plan --out: apply exactly that, or refuse because the world has moved", Unset: "whatever is to be done now", Rare: true},
		{Name: "rollout", Key: "rollout", Kind: Choice, Choices: []string{"rolling", "handover"}, Stages: "apply gate", Doc: "how Deployments behind a load balancer replace their pods; handover deletes no old pod before its targets are seen to be unused", Unset: "rolling: as the Deployment's own strategy has it", Rare: true},
		{Name: "legacy-pods", Key: "drain.legacyPods", Kind: Choice, Choices: []string{"warn", "handover"}, Stages: "apply gate", Doc: "what to do when running pods that have no preStop are to be replaced", Unset: "warn: requests are lost in that one rollout", Rare: true},
	}},
	{"When a deploy fails", []Input{
		{Name: "on-failure", Key: "onFailure", Kind: Choice, Choices: []string{"rollback", "hold", "pause"}, Stages: "apply gate", Doc: "what a failed deploy does with what it applied", Unset: "rollback: the last release whose gate passed is applied again, whole"},
		{Name: "keep-revisions", Key: "keepRevisions", Kind: Text, Stages: "apply gate", Doc: "number of revisions to keep in the cluster for rollbacks", Unset: "10", Rare: true},
		{Name: "steal-lock", Kind: Boolean, Stages: "apply gate", Doc: "take the lock from another deploy of this application that still runs", Unset: "false: such a deploy is exit 6", Rare: true},
	}},
	{"The run", []Input{
		{Name: "from", Kind: Choice, Choices: core.Stages(), Stages: "all", Doc: "first stage to run", Unset: "build"},
		{Name: "to", Kind: Choice, Choices: core.Stages(), Stages: "all", Doc: "last stage to run", Unset: "gate"},
		{Name: "report", Kind: Text, Stages: "all", Doc: "report.json of the earlier stages' job, and of this one", Unset: "report.json of output-dir"},
		{Name: "progress", Kind: Choice, Choices: []string{"auto", "live", "plain"}, Stages: "all", Doc: "live table or plain lines", Unset: "auto, live in a terminal outside CI"},
		{Name: "output-dir", Kind: Text, Stages: "all", Doc: "folder for the report and its companions", Unset: ".outlast beside outlast.yaml, none for render -; in a wrapper, of the folder where the job is", Rare: true},
		{Name: "pull-request", Key: "pullRequest", Kind: Choice, Choices: []string{"render", "plan"}, Stages: "all", Doc: "what deploy does for a pull or merge request; plan asks the cluster, and tells in a comment or note what would change", Unset: "render: the manifests are rendered, nothing is asked", Rare: true},
		{Name: "github-token", Kind: Text, Stages: "all", Doc: "GitHub token that may write on pull requests, for the comment with the plan", Unset: "the action's own ${{ github.token }}; elsewhere no comment is written", Secret: true},
		{Name: "gitlab-token", Kind: Text, Stages: "all", Doc: "GitLab project access token with the scope api, for the note on a merge request and the deployment's status", Unset: "neither is written", Secret: true},
	}},
	{"How a wrapper finds the program", []Input{
		{Name: "binary", Kind: Text, Stages: getOutlast, Doc: "path of an outlast program", Unset: "outlast on PATH, then the release that the wrapper belongs to"},
		{Name: "download-url", Kind: Text, Stages: getOutlast, Doc: "mirror of the release's assets", Unset: "the project's releases"},
		{Name: "cache", Kind: Text, Stages: getOutlast, Doc: "folder that keeps the program for the next run", Unset: "outlast in the user's cache"},
		{Name: "source", Kind: Text, Stages: getOutlast, Doc: "checkout of the project to build the program from, with Go", Unset: "none"},
	}},
}

// ScalarKeys are the plain keys of outlast.yaml.
func ScalarKeys() (keys []string) {
	for _, in := range All() {
		if in.Key != "" {
			keys = append(keys, in.Key)
		}
	}
	return keys
}
