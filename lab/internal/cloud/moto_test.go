// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

const motoVersion = "5.2.5"

// motoProgram is the server that .ci/runners/install put into the user's cache.
// Without it the test is skipped, but not where TEST_MOTO says that it is there.
func motoProgram(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "outlast-lab", "moto")
	program := filepath.Join(dir, "venv", "bin", "moto_server")
	installed, err := os.ReadFile(filepath.Join(dir, "installed"))
	if err == nil && strings.Contains(string(installed), "moto=="+motoVersion+"\n") {
		return program
	}
	if os.Getenv("TEST_MOTO") != "" {
		t.Fatalf("moto %s is not in %s, and TEST_MOTO says that it is: run .ci/runners/install and read what it says", motoVersion, dir)
	}
	t.Skipf("moto %s is not in %s: run .ci/runners/install, which installs it from PyPI", motoVersion, dir)
	return ""
}

// startMoto serves moto on a free port of the loopback until the test ends.
func startMoto(t *testing.T) string {
	t.Helper()
	program := motoProgram(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), "MOTO_ACCOUNT_ID="+account, "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+secret)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has nothing to save
		_ = cmd.Wait()
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(url + "/moto-api/data.json")
		if err == nil {
			_ = resp.Body.Close()
			return url
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("moto does not answer on %s: %v\n%s", url, err, said.String())
		}
	}
}

// side is the lab's AWS or moto, with what earlier calls made there.
type side struct {
	elb *elbv2.Client
	ec2 *ec2.Client
	ecr *ecr.Client
	eks *eks.Client
	sts *sts.Client
	s3  *s3.Client
	acm *acm.Client

	alarms              *cloudwatch.Client
	vpc, instance, role string
	subnets             []string
	address             string // of a target, in the VPC
	made                map[string]string
}

func newSide(cfg aws.Config, called func(operation string)) *side {
	cfg.APIOptions = append(cfg.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("Called", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			called(awsmiddleware.GetServiceID(ctx) + " " + awsmiddleware.GetOperationName(ctx))
			return next.HandleInitialize(ctx, in)
		}), middleware.After)
	})
	return &side{elb: elbv2.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg), ecr: ecr.NewFromConfig(cfg), eks: eks.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg),
		acm: acm.NewFromConfig(cfg), alarms: cloudwatch.NewFromConfig(cfg), s3: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), made: map[string]string{}}
}

// difference is one field, or the code of one error, that the two sides answer
// differently.
type difference struct {
	call, field, lab, moto string
}

// compare gives the differences of one call's answers.
func compare(call string, lab, moto map[string]string) []difference {
	if (lab["error"] == "") != (moto["error"] == "") {
		answer := func(fields map[string]string) string { return cmp.Or(fields["error"], "no error") }
		return []difference{{call, "error", answer(lab), answer(moto)}}
	}
	fields := map[string]bool{}
	for f := range lab {
		fields[f] = true
	}
	for f := range moto {
		fields[f] = true
	}
	var out []difference
	for f := range fields {
		l, m := "absent", "absent"
		if v, ok := lab[f]; ok {
			l = v
		}
		if v, ok := moto[f]; ok {
			m = v
		}
		if l != m {
			out = append(out, difference{call, f, l, m})
		}
	}
	slices.SortFunc(out, func(a, b difference) int { return strings.Compare(a.field, b.field) })
	return out
}

// shape flattens an answer: a field's path to its value, which is written so
// that it is the same on both sides when only names and times differ.
func shape(out any, err error) map[string]string {
	fields := map[string]string{}
	var api smithy.APIError
	var status interface{ HTTPStatusCode() int }
	switch {
	case errors.As(err, &api):
		fields["error"] = api.ErrorCode()
		if errors.As(err, &status) {
			fields["status"] = strconv.Itoa(status.HTTPStatusCode())
		}
	case err != nil:
		fields["error"] = "no answer that the SDK can read"
	default:
		flatten(fields, "", reflect.ValueOf(out))
	}
	return fields
}

func flatten(into map[string]string, at string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		if k := v.Elem().Kind(); k == reflect.String || k == reflect.Bool || v.Elem().CanInt() || v.Elem().CanFloat() {
			into[at] = plain(fmt.Sprint(v.Elem().Interface())) // set, though perhaps to zero
			return
		}
		flatten(into, at, v.Elem())
	case reflect.Invalid: // an interface that is nil
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			into[at] = map[bool]string{true: "no time", false: "a time"}[t.IsZero()]
			return
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if name != "ResultMetadata" && v.Type().Field(i).IsExported() {
				flatten(into, strings.TrimPrefix(at+"."+name, "."), v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			key := strconv.Itoa(i)
			if e := reflect.Indirect(v.Index(i)); e.Kind() == reflect.Struct && e.FieldByName("Key").IsValid() && !e.FieldByName("Key").IsZero() {
				key = e.FieldByName("Key").Elem().String() // attributes and tags
				flatten(into, at+"["+key+"]", e.FieldByName("Value"))
				continue
			}
			flatten(into, at+"["+key+"]", v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			flatten(into, at+"["+k.String()+"]", v.MapIndex(k))
		}
	case reflect.String:
		if v.String() != "" || strings.HasSuffix(at, "]") {
			into[at] = plain(v.String())
		}
	default:
		if !v.IsZero() {
			into[at] = fmt.Sprint(v.Interface())
		}
	}
}

// names are parts of values that differ from run to run.
var names = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\b(vpc|subnet|sg|eni|i|rtb|rtbassoc|igw|r|eni-attach|vpc-cidr-assoc|sgr|dopt|acl|ami)-[0-9a-f]{8,17}\b`), "$1-ID"},
	{regexp.MustCompile(`\b_[0-9a-f]{32}\b`), "_HEX"},
	{regexp.MustCompile(`^([0-9a-f]{2}:){5,}[0-9a-f]{2}$`), "bytes with colons"},
	{regexp.MustCompile(`^[0-9]{30,}$`), "a large number"},
	{regexp.MustCompile(`^[0-9a-f]{40}$|^[A-Za-z0-9/+]{40}$`), "a secret"},
	{regexp.MustCompile(`\b[0-9a-f]{16,17}\b`), "ID"},
	{regexp.MustCompile(`-[0-9]{6,12}\.`), "-N."},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+(/\d+|:\d+)?\b`), "IP"},
	{regexp.MustCompile(`\b(AKIA|ASIA|AROA|AIDA|IQoJ)[A-Za-z0-9+/=-]{12,}`), "$1…"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\bsha256:[0-9a-f]{64}\b`), "sha256:…"},
}

func plain(s string) string {
	for _, n := range names {
		s = n.is.ReplaceAllString(s, n.as)
	}
	if len(s) > 160 {
		return "a long text"
	}
	return s
}

// TestLabAndMotoAgree sends the same calls to the lab and to moto, an imitation
// of AWS by others, and knows every difference: a new one fails the test, and
// so does one that is listed in differencesFromMoto and does not occur any more.
func TestLabAndMotoAgree(t *testing.T) {
	endpoint := startMoto(t)
	l := newLab(t, "cn-northwest-1")
	called := map[string]bool{}
	var mu sync.Mutex
	lab := newSide(l.own(), func(operation string) { mu.Lock(); called[operation] = true; mu.Unlock() })
	cfg := l.own()
	cfg.BaseEndpoint, cfg.Credentials = aws.String(endpoint), credentials.NewStaticCredentialsProvider(keyID, secret, "")
	moto := newSide(cfg, func(string) {})
	// moto does not speak CBOR yet, so that it is asked in JSON, which CloudWatch speaks, too.
	moto.alarms = cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) { o.Protocol = awsjson.New10(schemas.GraniteServiceVersion20100801) })
	lab.fromLab(t, l)
	moto.fromMoto(t)
	used := make([]bool, len(differencesFromMoto))
	for _, c := range sameCalls(t) {
		a, b := shape(c.do(t.Context(), lab)), shape(c.do(t.Context(), moto))
		if e := a["error"]; strings.HasPrefix(e, "no answer") || e == "InvalidAction" || e == "UnknownOperationException" {
			t.Errorf("%s: the lab answers %q", c.say, e)
		}
		for _, d := range compare(c.say, a, b) {
			i := slices.IndexFunc(differencesFromMoto, func(x known) bool { return x.covers(d) })
			if i < 0 {
				t.Errorf("%s: %s: the lab says %q, moto %q; mend the lab, or list it in differencesFromMoto with who is right and why", d.call, d.field, d.lab, d.moto)
				continue
			}
			used[i] = true
		}
	}
	for i, x := range differencesFromMoto {
		if !used[i] {
			t.Errorf("differencesFromMoto lists %s: %s, which does not occur any more; take it out", x.call, x.field)
		}
	}
	for _, operation := range operations() {
		if !called[operation] {
			t.Errorf("%s is offered by the lab, and no call of sameCalls asks for it", operation)
		}
	}
}

// glob tells whether s is the pattern, in which * stands for any text.
func glob(pattern, s string) bool {
	first, more, star := strings.Cut(pattern, "*")
	rest, ok := strings.CutPrefix(s, first)
	if !ok || !star {
		return ok && rest == ""
	}
	for i := range len(rest) + 1 {
		if glob(more, rest[i:]) {
			return true
		}
	}
	return false
}
