;; Answers with an error whose text is no UTF-8.
(module
  (memory (export "memory") 32)
  (data (i32.const 16) "\01\00\00\00" "\40\00\00\00" "\06\00\00\00") ;; err, where, bytes
  (data (i32.const 64) "\c3\28\ff\fe\80\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
  (func (export "eventrunner:platform/consumer@0.1.0#handle") (param i32 i32) (result i32) i32.const 16))
