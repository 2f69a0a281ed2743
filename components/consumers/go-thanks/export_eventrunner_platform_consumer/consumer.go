// Package export_eventrunner_platform_consumer is where wit-bindgen looks for what a consumer exports: Handle. All else
// in this module but `thanks` was written by wit-bindgen from the platform's wit/.
package export_eventrunner_platform_consumer

//go:generate wit-bindgen go --quiet --world consumer-component --out-dir .. ../../../../wit

import (
	"encoding/json"

	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/eventrunner_platform_consumer"
	"wit_component/eventrunner_platform_emitter"
	"wit_component/thanks"
)

// Handle is called with a batch, never twice in the same instance: what is to be remembered must be emitted.
func Handle(batch string) Result[[]Failure, string] {
	events, failures, err := thanks.Thank(batch)
	if err != nil {
		return Err[[]Failure](err.Error()) // hands the whole batch back
	}
	if len(events) > 0 {
		text, err := json.Marshal(events)
		if err != nil {
			return Err[[]Failure](err.Error())
		}
		if emitted := eventrunner_platform_emitter.Emit(string(text)); emitted.IsErr() {
			return Err[[]Failure](emitted.Err())
		}
	}
	answer := make([]Failure, 0, len(failures))
	for _, failure := range failures {
		answer = append(answer, Failure{Id: failure.ID, RetryAfterMs: None[uint32](), Reason: failure.Reason})
	}
	return Ok[[]Failure, string](answer)
}
