// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// login is what a client does with GetAuthorizationToken.
func (l *lab) login(t *testing.T, region string) (remote.Option, string) {
	t.Helper()
	out, err := ecr.NewFromConfig(l.sdk(region, keyID, secret, "")).GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	d := out.AuthorizationData[0]
	if *d.ProxyEndpoint != l.reg.URL || d.ExpiresAt.Sub(l.clock.now()) < 11*time.Hour {
		t.Errorf("got endpoint %s, expiry %s", *d.ProxyEndpoint, d.ExpiresAt)
	}
	userpass := string(must(base64.StdEncoding.DecodeString(*d.AuthorizationToken))(t))
	user, pass, _ := strings.Cut(userpass, ":")
	return remote.WithAuth(&authn.Basic{Username: user, Password: pass}), pass
}

func (l *lab) ref(t *testing.T, s string) name.Reference {
	t.Helper()
	return must(name.ParseReference(l.reg.Listener.Addr().String()+"/"+s, name.Insecure))(t)
}

func newImage(t *testing.T) v1.Image {
	t.Helper()
	return mutate.MediaType(must(random.Image(2000, 3))(t), types.OCIManifestSchema1)
}

// wantRefusal fails unless err is the registry's refusal with that status, code and text.
func wantRefusal(t *testing.T, err error, status int, code transport.ErrorCode, text string) {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) || e.StatusCode != status || len(e.Errors) == 0 || e.Errors[0].Code != code || !strings.Contains(e.Errors[0].Message, text) {
		t.Fatalf("got %v, want %d %s %q", err, status, code, text)
	}
}

func TestPushPullAndDescribe(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	ctx := context.Background()
	if err := l.CreateRepository("cn-northwest-1", "team/web", false); err != nil {
		t.Fatal(err)
	}
	auth, _ := l.login(t, "cn-northwest-1")
	img := newImage(t)
	digest := must(img.Digest())(t)
	for _, tag := range []string{"v1", "also"} {
		if err := remote.Write(l.ref(t, "team/web:"+tag), img, auth); err != nil {
			t.Fatal(err)
		}
	}
	pulled := must(remote.Image(l.ref(t, "team/web@"+digest.String()), auth))(t)
	layers := must(pulled.Layers())(t)
	blob := must(io.ReadAll(must(layers[2].Compressed())(t)))(t)
	want := must(io.ReadAll(must(must(img.Layers())(t)[2].Compressed())(t)))(t)
	if !bytes.Equal(blob, want) {
		t.Error("the pulled layer differs")
	}
	out := must(l.ecr().DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/web"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: aws.String("v1")}}}))(t)
	d := out.ImageDetails[0]
	if *d.ImageDigest != digest.String() || strings.Join(d.ImageTags, " ") != "also v1" || *d.ImageSizeInBytes < 6000 || d.ImagePushedAt.Before(time.Now().Add(-time.Minute)) {
		t.Errorf("got %+v", d)
	}
	_, err := l.ecr().DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/web"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: aws.String("v9")}}})
	wantCode(t, err, "ImageNotFoundException")
	got := must(l.ecr().BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("team/web"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("v9")}}}))(t)
	if len(got.Images) != 1 || *got.Images[0].ImageManifest != string(must(img.RawManifest())(t)) || got.Failures[0].FailureCode != ecrtypes.ImageFailureCodeImageNotFound {
		t.Errorf("got %+v", got)
	}
}

func TestRegistryRefusals(t *testing.T) {
	l := newLab(t, "us-east-1")
	for _, n := range []string{"web", "mirror/base"} {
		if err := l.CreateRepository("us-east-1", n, n == "web"); err != nil {
			t.Fatal(err)
		}
	}
	auth, token := l.login(t, "us-east-1")
	foreign, _ := l.login(t, "eu-west-1")
	img := newImage(t)
	for _, r := range []string{"web:v1", "mirror/base:1"} {
		if err := remote.Write(l.ref(t, r), img, auth); err != nil {
			t.Fatal(err)
		}
	}
	basic := func(user, pass string) remote.Option {
		return remote.WithAuth(&authn.Basic{Username: user, Password: pass})
	}
	for name, x := range map[string]struct {
		ref    string
		img    v1.Image // nil: pull
		auth   remote.Option
		move   time.Duration
		status int
		code   transport.ErrorCode
		text   string
	}{
		"repository missing":             {"gone:v1", img, auth, 0, 404, "NAME_UNKNOWN", "The repository with name 'gone' does not exist in the registry with id '123456789012'"},
		"tag immutable":                  {"web:v1", newImage(t), auth, 0, 400, "TAG_INVALID", "The image tag 'v1' already exists in the 'web' repository and cannot be overwritten because the repository is immutable."},
		"no token":                       {"web:v1", nil, remote.WithAuth(authn.Anonymous), 0, 401, "UNAUTHORIZED", "Not Authorized"},
		"token of another region":        {"web:v1", nil, foreign, 0, 401, "UNAUTHORIZED", "not of this registry"},
		"token made up":                  {"web:v1", nil, basic("AWS", "abc.def"), 0, 401, "UNAUTHORIZED", "not of this registry"},
		"token changed":                  {"web:v1", nil, basic("AWS", token[:3]+"X"+token[4:]), 0, 401, "UNAUTHORIZED", "not of this registry"},
		"another user":                   {"web:v1", nil, basic("aws", token), 0, 401, "UNAUTHORIZED", "Not Authorized"},
		"token expired":                  {"web:v1", nil, auth, 12*time.Hour + time.Second, 403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."},
		"image missing":                  {"web:v9", nil, auth, 0, 404, "MANIFEST_UNKNOWN", ""},
		"push to a mirror without token": {"mirror/base:2", newImage(t), remote.WithAuth(authn.Anonymous), 0, 401, "UNAUTHORIZED", "Not Authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			l.clock.move(x.move)
			defer l.clock.move(-x.move)
			var err error
			if x.img != nil {
				err = remote.Write(l.ref(t, x.ref), x.img, x.auth)
			} else {
				_, err = remote.Get(l.ref(t, x.ref), x.auth)
			}
			wantRefusal(t, err, x.status, x.code, x.text)
		})
	}
	if _, err := remote.Image(l.ref(t, "mirror/base:1")); err != nil {
		t.Errorf("anonymous pull from the mirror: %v", err)
	}
	// A new tag may be set in an immutable repository.
	if err := remote.Write(l.ref(t, "web:v2"), img, auth); err != nil {
		t.Errorf("a new tag of an image that is there: %v", err)
	}
}

func TestTokensOutliveARestart(t *testing.T) {
	l := newLab(t, "us-east-1")
	if err := l.CreateRepository("us-east-1", "web", false); err != nil {
		t.Fatal(err)
	}
	auth, _ := l.login(t, "us-east-1")
	if err := remote.Write(l.ref(t, "web:v1"), newImage(t), auth); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = l.engine.Close()
	l.open(t)
	if _, err := remote.Get(l.ref(t, "web:v1"), auth); err != nil {
		t.Error(err)
	}
}

func TestBlobMountsAreAnsweredAsUploads(t *testing.T) {
	l := newLab(t, "us-east-1")
	for _, n := range []string{"a", "b"} {
		if err := l.CreateRepository("us-east-1", n+n, false); err != nil {
			t.Fatal(err)
		}
	}
	auth, token := l.login(t, "us-east-1")
	img := newImage(t)
	if err := remote.Write(l.ref(t, "aa:v1"), img, auth); err != nil {
		t.Fatal(err)
	}
	digest := must(must(img.Layers())(t)[0].Digest())(t)
	req := must(http.NewRequest(http.MethodPost, l.reg.URL+"/v2/bb/blobs/uploads/?mount="+digest.String()+"&from=aa", nil))(t)
	req.SetBasicAuth("AWS", token)
	resp := must(http.DefaultClient.Do(req))(t)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("got %s, want 202 as ECR answers", resp.Status)
	}
}
