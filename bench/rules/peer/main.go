// Grule, measured as its users run it: one knowledge base instance for all events, and for each event a data context
// of its own with the event's JSON, or with a Go struct as in Grule's own benchmark.
//
// It reads a job a line on stdin and answers each with a line on stdout. Times are CPU time of this process: garbage
// collection is part of what an event costs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/hyperjumptech/grule-rule-engine/ast"
	"github.com/hyperjumptech/grule-rule-engine/builder"
	"github.com/hyperjumptech/grule-rule-engine/engine"
	"github.com/hyperjumptech/grule-rule-engine/logger"
	"github.com/hyperjumptech/grule-rule-engine/pkg"
	"github.com/sirupsen/logrus"
)

// Job is a rule set, events for it, and how long to measure.
type Job struct {
	// Path of a GRL text.
	Rules string `json:"rules"`
	// Path of a file with the JSON of an event a line; without it, each event is a Ride.
	Events string `json:"events"`
	// How often the set is loaded at least, and for how long at least.
	Loads  int   `json:"loads"`
	LoadUs int64 `json:"load_us"`
	WarmUs int64 `json:"warm_us"`
	RunUs  int64 `json:"run_us"`
	Runs   int   `json:"runs"`
}

// Answer is what came of a job.
type Answer struct {
	Error string `json:"error,omitempty"`
	// Microseconds of each load.
	LoadUs []float64 `json:"load_us"`
	// Rules that fired for each event, in order.
	Fired [][]string `json:"fired"`
	// Microseconds per event of each run.
	RunUs []float64 `json:"run_us"`
}

// Ride is the fact of Grule's own benchmark in other words.
type Ride struct {
	Metres  int32
	Minutes int32
	Kind    string
	Regular bool
	Done    bool
	Price   float32
}

type noting struct {
	fired []string
}

func (n *noting) EvaluateRuleEntry(context.Context, uint64, *ast.RuleEntry, bool) {}

func (n *noting) ExecuteRuleEntry(_ context.Context, _ uint64, entry *ast.RuleEntry) {
	n.fired = append(n.fired, entry.RuleName)
}

func (n *noting) BeginCycle(context.Context, uint64) {}

func main() {
	runtime.GOMAXPROCS(1)
	quiet := logrus.New()
	quiet.SetLevel(logrus.ErrorLevel)
	logger.SetLogger(quiet)
	jobs := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for jobs.Scan() {
		answer, err := answer(jobs.Bytes())
		if err != nil {
			answer.Error = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, "grule peer:", err)
			os.Exit(1)
		}
	}
}

func answer(line []byte) (Answer, error) {
	var job Job
	var out Answer
	if err := json.Unmarshal(line, &job); err != nil {
		return out, err
	}
	rules, err := os.ReadFile(job.Rules)
	if err != nil {
		return out, err
	}
	events, err := readEvents(job.Events)
	if err != nil {
		return out, err
	}
	var base *ast.KnowledgeBase
	for started := cpu(); len(out.LoadUs) < job.Loads || cpu()-started < micros(job.LoadUs); {
		// What the load before left behind is not this one's to clear away.
		base = nil
		runtime.GC()
		from := cpu()
		if base, err = load(rules); err != nil {
			return out, err
		}
		out.LoadUs = append(out.LoadUs, us(cpu()-from))
	}
	for _, event := range events {
		fired := noting{fired: []string{}}
		machine := engine.NewGruleEngine()
		machine.Listeners = []engine.GruleEngineListener{&fired}
		if err := run(machine, base, event); err != nil {
			return out, err
		}
		out.Fired = append(out.Fired, fired.fired)
	}
	machine := engine.NewGruleEngine()
	runtime.GC()
	if _, err := timed(machine, base, events, micros(job.WarmUs)); err != nil {
		return out, err
	}
	for range job.Runs {
		each, err := timed(machine, base, events, micros(job.RunUs))
		if err != nil {
			return out, err
		}
		out.RunUs = append(out.RunUs, each)
	}
	return out, nil
}

// A nil event is a ride.
func readEvents(path string) ([][]byte, error) {
	if path == "" {
		return [][]byte{nil}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events [][]byte
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		events = append(events, append([]byte(nil), lines.Bytes()...))
	}
	return events, lines.Err()
}

func load(rules []byte) (*ast.KnowledgeBase, error) {
	library := ast.NewKnowledgeLibrary()
	if err := builder.NewRuleBuilder(library).BuildRuleFromResource("bench", "1", pkg.NewBytesResource(rules)); err != nil {
		return nil, err
	}
	return library.NewKnowledgeBaseInstance("bench", "1")
}

func run(machine *engine.GruleEngine, base *ast.KnowledgeBase, event []byte) error {
	facts := ast.NewDataContext()
	var err error
	if event == nil {
		err = facts.Add("Ride", &Ride{Metres: 6000, Minutes: 121})
	} else {
		err = facts.AddJSON("Event", event)
	}
	if err != nil {
		return err
	}
	return machine.Execute(facts, base)
}

// Microseconds per event.
func timed(machine *engine.GruleEngine, base *ast.KnowledgeBase, events [][]byte, least time.Duration) (float64, error) {
	started, done, at := cpu(), 0, 0
	for {
		for range 4 {
			if err := run(machine, base, events[at]); err != nil {
				return 0, err
			}
			done++
			if at++; at == len(events) {
				at = 0
			}
		}
		if took := cpu() - started; took >= least {
			return us(took) / float64(done), nil
		}
	}
}

// What this process has used of a core.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

func us(took time.Duration) float64 { return float64(took) / float64(time.Microsecond) }
