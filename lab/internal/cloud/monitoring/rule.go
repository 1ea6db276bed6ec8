// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// rule reads the rule of a composite alarm:
//
//	expression = term { OR term }
//	term       = factor { AND factor }
//	factor     = NOT factor | ( expression ) | TRUE | FALSE | STATE ( name )
type rule struct {
	words []string
	state func(name string) types.StateValue
	names []string
}

// word is a parenthesis, a name in quotes, or anything else up to a space or one of these.
var word = regexp.MustCompile(`[()]|"[^"]*"|[^\s()"]+`)

// evaluate tells whether a rule holds.
func evaluate(text string, state func(name string) types.StateValue) (bool, error) {
	r := rule{words: word.FindAllString(text, -1), state: state}
	holds, err := r.expression()
	if err == nil && len(r.words) > 0 {
		err = fmt.Errorf("unexpected %s", r.words[0])
	}
	return holds, err
}

// named lists the alarms that a rule names. It was read before.
func named(text string) []string {
	r := rule{words: word.FindAllString(text, -1), state: func(string) types.StateValue { return "" }}
	_, _ = r.expression()
	return r.names
}

// next takes the word that comes, if it is that one; keywords are of any case.
func (r *rule) next(want string) bool {
	if len(r.words) == 0 || !strings.EqualFold(r.words[0], want) {
		return false
	}
	r.words = r.words[1:]
	return true
}

// expression and term read on even if what they have read decides, to see errors and names.
func (r *rule) expression() (bool, error) {
	holds, err := r.term()
	for err == nil && r.next("OR") {
		var more bool
		more, err = r.term()
		holds = holds || more
	}
	return holds, err
}

func (r *rule) term() (bool, error) {
	holds, err := r.factor()
	for err == nil && r.next("AND") {
		var more bool
		more, err = r.factor()
		holds = holds && more
	}
	return holds, err
}

func (r *rule) factor() (bool, error) {
	switch {
	case r.next("NOT"):
		holds, err := r.factor()
		return !holds, err
	case r.next("("):
		holds, err := r.expression()
		if err == nil && !r.next(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return holds, err
	case r.next("TRUE"):
		return true, nil
	case r.next("FALSE"):
		return false, nil
	}
	for _, state := range types.StateValueOk.Values() {
		if r.next(string(state)) {
			return r.alarm(state)
		}
	}
	return false, fmt.Errorf("no condition at %q", strings.Join(r.words, " "))
}

// alarm reads the name, or the ARN, of an alarm in parentheses.
func (r *rule) alarm(state types.StateValue) (bool, error) {
	if len(r.words) < 3 || r.words[0] != "(" || r.words[2] != ")" || r.words[1] == ")" {
		return false, fmt.Errorf("%s needs the name of an alarm in parentheses", state)
	}
	name := strings.Trim(r.words[1], `"`)
	if strings.HasPrefix(name, "arn:") {
		_, name, _ = strings.Cut(name, ":alarm:")
	}
	r.words, r.names = r.words[3:], append(r.names, name)
	return r.state(name) == state, nil
}
