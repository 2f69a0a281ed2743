package thanks

import (
	"reflect"
	"testing"
)

func event(id, kind, data string) string {
	return `{"specversion":"1.0","id":"` + id + `","source":"/shop","type":"` + kind + `","data":` + data + `}`
}

func TestAnOrderIsThankedForAndAMalformedOneIsAFailure(t *testing.T) {
	batch := "[" + event("1", "order.placed", `{"total":12.5}`) + "," + event("2", "order.placed", `{"total":"much"}`) +
		"," + event("3", "order.placed", "null") + "," + event("4", "order.cancelled", "null") + "]"
	thanks, failures, err := Thank(batch)
	if err != nil {
		t.Fatal(err)
	}
	if len(thanks) != 1 || thanks[0].ID != "/shop#1" || string(thanks[0].Data) != `{"amount":12.5,"order":"1"}` {
		t.Errorf("thanks %+v", thanks)
	}
	const reason = "data.total is not a number"
	if !reflect.DeepEqual(failures, []Failure{{"2", reason}, {"3", reason}}) {
		t.Errorf("failures %v", failures)
	}
}

func TestWhatIsNoBatchIsAnError(t *testing.T) {
	if _, _, err := Thank("?"); err == nil {
		t.Error("no error")
	}
}
