package event
import ("testing";"github.com/go-json-experiment/json/jsontext";"google.golang.org/protobuf/encoding/protojson";"github.com/cilium/tetragon/api/v1/tetragon")
func BenchmarkZZValid(b *testing.B){ benchParse(b,"tetragon/agent-under-attack.jsonl",func(r []byte)(*Event,error){ jsontext.Value(r).IsValid(); return nil,nil}) }
func BenchmarkZZValidP(b *testing.B){ benchParse(b,"openclaw-plugin/story.jsonl",func(r []byte)(*Event,error){ jsontext.Value(r).IsValid(); return nil,nil}) }
func BenchmarkZZPJ(b *testing.B){ benchParse(b,"tetragon/agent-under-attack.jsonl",func(r []byte)(*Event,error){ var x tetragon.GetEventsResponse; if err:=protojson.Unmarshal(r,&x);err!=nil{return nil,err}; return FromTetragon(&x)}) }
