// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
)

// world is what outlast talks to in a script. Only the login, look-ups and the
// registry are there: whole deploys are the business of the end-to-end tests.
type world struct {
	aws, registry, kube, github *httptest.Server

	mu         sync.Mutex
	writes     string // file
	kubeconfig string
}

func newWorld(dir string) (*world, error) {
	w := &world{writes: filepath.Join(dir, "writes"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	images := registry.New(registry.Logger(log.New(discard{}, "", 0)))
	w.registry = httptest.NewServer(w.noting("registry", images))
	w.aws = httptest.NewServer(http.HandlerFunc(w.serveAWS))
	w.kube = httptest.NewServer(w.noting("cluster", http.HandlerFunc(w.serveObjects)))
	w.github = httptest.NewServer(w.noting("github", http.HandlerFunc(serveGitHub)))
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],
"users":[{"name":"u","user":{"token":"secret-kube-token"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`, w.kube.URL)
	return w, orErr(os.WriteFile(w.kubeconfig, []byte(config), 0o600), os.WriteFile(w.writes, nil, 0o600))
}

func orErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (w *world) close() {
	for _, s := range []*httptest.Server{w.aws, w.registry, w.kube, w.github} {
		s.Close()
	}
}

// environ is the world of a job with a login, and nothing of this machine's.
func (w *world) environ() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret-aws-key", "AWS_REGION=cn-northwest-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_ENDPOINT_URL=" + w.aws.URL, "GITHUB_API_URL=" + w.github.URL, "GITHUB_REPOSITORY=acme/web", "KUBECONFIG=" + w.kubeconfig, "DOCKER_CONFIG=" + filepath.Dir(w.writes),
		"ONLYOUTLAST=" + filepath.SplitList(os.Getenv("PATH"))[0],
		"REGISTRY=" + strings.TrimPrefix(w.registry.URL, "http://"),
		"XDG_CACHE_HOME=" + filepath.Dir(w.writes), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
	}
}

// noting writes down what changes anything.
func (w *world) noting(who string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asks := strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews") // a question, although it is posted
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Query().Get("dryRun") == "" && !asks {
			w.mu.Lock()
			f, err := os.OpenFile(w.writes, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				fmt.Fprintln(f, who, r.Method, r.URL.Path)
				f.Close()
			}
			w.mu.Unlock()
		}
		next.ServeHTTP(rw, r)
	})
}

// serveAWS knows one account with one repository, web, in one region.
func (w *world) serveAWS(rw http.ResponseWriter, r *http.Request) {
	auth := r.Header.Get("Authorization")
	if err := r.ParseForm(); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	xml := func(status int, format string, args ...any) {
		rw.Header().Set("Content-Type", "text/xml")
		rw.WriteHeader(status)
		fmt.Fprintf(rw, format, args...)
	}
	fail := func(kind, message string) {
		rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"__type":%q,"message":%q}`, kind, message)
	}
	if r.Form.Get("Action") == "AssumeRoleWithWebIdentity" {
		if r.Form.Get("WebIdentityToken") != "secret-id-token" || !strings.HasSuffix(r.Form.Get("RoleArn"), ":role/ci") {
			xml(http.StatusBadRequest, `<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>No OpenIDConnect provider found in your account</Message></Error></ErrorResponse>`)
			return
		}
		xml(http.StatusOK, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret-role-key</SecretAccessKey><SessionToken>secret-session</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
		return
	}
	if !strings.Contains(auth, "Credential=AKIDEXAMPLE/") && !strings.Contains(auth, "Credential=ASIAROLE/") {
		xml(http.StatusForbidden, `<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error></ErrorResponse>`)
		return
	}
	here := strings.Contains(auth, "/cn-northwest-1/")
	action := r.Form.Get("Action")
	if _, op, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		action = op
	}
	switch action {
	case "GetCallerIdentity":
		xml(http.StatusOK, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws-cn:iam::111122223333:user/ci</Arn><UserId>AIDA</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case "GetAuthorizationToken":
		fmt.Fprintf(rw, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":4102444800,"proxyEndpoint":%q}]}`,
			base64.StdEncoding.EncodeToString([]byte("AWS:secret-ecr-token")), w.registry.URL)
	case "DescribeRepositories":
		body := make([]byte, 4096)
		n, _ := r.Body.Read(body)
		if !here || !strings.Contains(string(body[:n]), `"web"`) {
			fail("RepositoryNotFoundException", "The repository does not exist in the registry with id '111122223333'")
			return
		}
		host, _ := url.Parse(w.registry.URL)
		fmt.Fprintf(rw, `{"repositories":[{"repositoryName":"web","repositoryUri":%q,"imageTagMutability":"IMMUTABLE"}]}`, host.Host+"/web")
	case "DescribeTargetGroups":
		groups := ""
		if arn := r.Form.Get("TargetGroupArns.member.1"); arn != "" {
			groups = `<member><TargetGroupArn>` + arn + `</TargetGroupArn><TargetGroupName>web</TargetGroupName><TargetType>ip</TargetType><Protocol>HTTP</Protocol><HealthCheckIntervalSeconds>5</HealthCheckIntervalSeconds><HealthCheckTimeoutSeconds>2</HealthCheckTimeoutSeconds><HealthyThresholdCount>2</HealthyThresholdCount><UnhealthyThresholdCount>2</UnhealthyThresholdCount><LoadBalancerArns><member>lb</member></LoadBalancerArns></member>`
		}
		xml(http.StatusOK, `<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>%s</TargetGroups></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>`, groups)
	case "DescribeTargetGroupAttributes":
		xml(http.StatusOK, `<DescribeTargetGroupAttributesResponse><DescribeTargetGroupAttributesResult><Attributes><member><Key>deregistration_delay.timeout_seconds</Key><Value>40</Value></member></Attributes></DescribeTargetGroupAttributesResult></DescribeTargetGroupAttributesResponse>`)
	case "DescribeTargetHealth":
		xml(http.StatusOK, `<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>%s</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>`, w.targets())
	default: // EKS
		fail("ResourceNotFoundException", "No cluster found for name: "+filepath.Base(r.URL.Path)+".")
	}
}

// serveKube answers a ping and denies the rest.
func serveKube(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/version":
		fmt.Fprint(rw, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
	case "/api":
		fmt.Fprint(rw, `{"kind":"APIVersions","versions":["v1"]}`)
	case "/apis":
		fmt.Fprint(rw, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`)
	case "/api/v1":
		fmt.Fprint(rw, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"services","namespaced":true,"kind":"Service","verbs":["get","patch"]},{"name":"namespaces","namespaced":false,"kind":"Namespace","verbs":["get","patch"]}]}`)
	case "/apis/apps/v1":
		fmt.Fprint(rw, `{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[{"name":"deployments","namespaced":true,"kind":"Deployment","verbs":["get","patch"]}]}`)
	case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		fmt.Fprint(rw, `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":false}}`)
	default:
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"user \"ci\" cannot do that","code":403}`)
	}
}

// serveGitHub has no comments yet, and takes those of one token.
func serveGitHub(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer secret-github-token" {
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprint(rw, `{"message":"Resource not accessible by integration"}`)
		return
	}
	fmt.Fprint(rw, "[]")
}
