;; Reads what no tenant may read, the key-value store of the platform, and fails with what it got.
(module
  (import "eventrunner:platform/kv@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 32)
  (data (i32.const 64) "ER_TENANTS")
  (data (i32.const 128) "probe-0")
  (data (i32.const 192) "nothing under this key")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
  (func (export "eventrunner:platform/consumer@0.1.0#handle") (param i32 i32) (result i32)
    (call $get (i32.const 64) (i32.const 10) (i32.const 128) (i32.const 7) (i32.const 256))
    ;; Always an error; its text is the value, where there is one.
    (i32.store (i32.const 16) (i32.const 1))
    (if (i32.load8_u (i32.const 256))
      (then ;; the fault's detail
        (i32.store (i32.const 20) (i32.load (i32.const 268)))
        (i32.store (i32.const 24) (i32.load (i32.const 272))))
      (else
        (if (i32.load8_u (i32.const 264))
          (then ;; the item's value
            (i32.store (i32.const 20) (i32.load (i32.const 280)))
            (i32.store (i32.const 24) (i32.load (i32.const 284))))
          (else
            (i32.store (i32.const 20) (i32.const 192))
            (i32.store (i32.const 24) (i32.const 22))))))
    i32.const 16))
