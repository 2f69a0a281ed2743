;; Traps before it can be called.
(module
  (memory (export "memory") 32)
  (func $start unreachable)
  (start $start)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
  (func (export "eventrunner:platform/consumer@0.1.0#handle") (param i32 i32) (result i32) i32.const 16))
