// Package thanks is what this consumer does, apart from the platform: plain Go, tried by `go test ./thanks`.
package thanks

import (
	"encoding/json"
	"errors"
)

const source = "/consumers/go-thanks"

// Event is what we read and write of a CloudEvent. The platform adds `specversion` and `time`.
type Event struct {
	Type   string          `json:"type"`
	Source string          `json:"source"`
	ID     string          `json:"id"`
	Data   json.RawMessage `json:"data"`
}

// Failure is an event that could not be handled.
type Failure struct{ ID, Reason string }

// Thank returns the events to emit, and those that could not be handled.
func Thank(batch string) (thanks []Event, failures []Failure, err error) {
	var events []Event
	if err := json.Unmarshal([]byte(batch), &events); err != nil {
		return nil, nil, err
	}
	for _, event := range events {
		if event.Type != "order.placed" {
			continue
		}
		if answer, err := thanksFor(event); err != nil {
			failures = append(failures, Failure{event.ID, err.Error()})
		} else {
			thanks = append(thanks, answer)
		}
	}
	return thanks, failures, nil
}

func thanksFor(order Event) (Event, error) {
	var placed struct {
		Total *float64 `json:"total"`
	}
	if err := json.Unmarshal(order.Data, &placed); err != nil || placed.Total == nil {
		return Event{}, errors.New("data.total is not a number")
	}
	data, err := json.Marshal(map[string]any{"order": order.ID, "amount": *placed.Total})
	// The id follows from the order alone: if we get it again, the thanks are the same thanks.
	return Event{Type: "order.thanks", Source: source, ID: order.Source + "#" + order.ID, Data: data}, err
}
