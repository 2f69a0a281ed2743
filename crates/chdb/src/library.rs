//! chDB's C interface, as `chdb.h` of 26.7 declares it; the package has no header to generate it from.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

use libloading::{Library as Handle, Symbol};

/// `chdb_connection`; `chdb_connect` gives a pointer to one.
pub type ConnectionPtr = *mut c_void;
/// `chdb_result *`
pub type ResultPtr = *mut c_void;
/// `chdb_insert_stream`
pub type InsertPtr = *mut c_void;
/// `CHDBSuccess` of `chdb_state`.
pub const SUCCESS: c_int = 0;

type Strings = *const *const c_char;
type Lengths = *const usize;

/// The functions in use. They stay valid for as long as `_handle` does, and that is for good: the library starts
/// threads, and is never closed.
pub struct Library {
    pub connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut ConnectionPtr,
    pub close: unsafe extern "C" fn(*mut ConnectionPtr),
    #[allow(clippy::type_complexity)] // as declared
    pub query: unsafe extern "C" fn(
        ConnectionPtr,
        *const c_char,
        usize,
        *const c_char,
        usize,
        Strings,
        Lengths,
        Strings,
        Lengths,
        usize,
    ) -> ResultPtr,
    pub buffer: unsafe extern "C" fn(ResultPtr) -> *const u8,
    pub length: unsafe extern "C" fn(ResultPtr) -> usize,
    pub error: unsafe extern "C" fn(ResultPtr) -> *const c_char,
    pub destroy: unsafe extern "C" fn(ResultPtr),
    pub insert: unsafe extern "C" fn(ConnectionPtr, *const c_char, usize, *const c_char, usize) -> InsertPtr,
    pub insert_error: unsafe extern "C" fn(InsertPtr) -> *const c_char,
    pub append: unsafe extern "C" fn(InsertPtr, *const c_void, usize) -> c_int,
    pub done: unsafe extern "C" fn(InsertPtr) -> ResultPtr,
    pub destroy_insert: unsafe extern "C" fn(InsertPtr),
    _handle: std::mem::ManuallyDrop<Handle>,
}

// === impl Library ===

impl Library {
    /// Opens the library, and keeps it from taking the process's signals.
    pub fn open(file: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: opening runs the library's initializers. It is the file that was configured as chDB's library, and a
        // file without its functions is refused below.
        let handle = unsafe { Handle::new(file) }?;
        let handle = std::mem::ManuallyDrop::new(handle);
        // SAFETY: the types above and here are those that `chdb.h` of this version declares for these names.
        unsafe {
            let signals: Symbol<'_, unsafe extern "C" fn(c_int)> = handle.get(b"chdb_set_signal_handlers_enabled\0")?;
            // Its handlers hold a crashed process for minutes before they let it end; a crash has to be an end, after
            // which the host starts the next one.
            signals(0);
            Ok(Self {
                connect: *handle.get(b"chdb_connect\0")?,
                close: *handle.get(b"chdb_close_conn\0")?,
                query: *handle.get(b"chdb_query_with_params_n\0")?,
                buffer: *handle.get(b"chdb_result_buffer\0")?,
                length: *handle.get(b"chdb_result_length\0")?,
                error: *handle.get(b"chdb_result_error\0")?,
                destroy: *handle.get(b"chdb_destroy_query_result\0")?,
                insert: *handle.get(b"chdb_stream_insert_n\0")?,
                insert_error: *handle.get(b"chdb_stream_insert_error\0")?,
                append: *handle.get(b"chdb_stream_append\0")?,
                done: *handle.get(b"chdb_stream_done\0")?,
                destroy_insert: *handle.get(b"chdb_destroy_insert_stream\0")?,
                _handle: handle,
            })
        }
    }
}
