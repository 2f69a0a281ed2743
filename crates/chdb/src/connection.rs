//! The one connection to the engine. It stays on the thread that made it.
#![allow(unsafe_code)]

use std::ffi::{c_char, CStr, CString};
use std::ptr;

use crate::error::{Error, OpenError};
use crate::library::{ConnectionPtr, InsertPtr, Library, ResultPtr, SUCCESS};
use crate::{Options, Query};

const CONFIG_FILE: &str = "chdb.xml";
/// The database a new connection is in.
const DEFAULT: &str = "default";

pub struct Connection {
    library: Library,
    connection: *mut ConnectionPtr,
    /// The database that was last said `USE` for.
    database: String,
}

/// A result that is destroyed when it goes.
struct Answer<'a> {
    library: &'a Library,
    result: ResultPtr,
}

/// An insert that is destroyed, and cancelled unless it was finished, when it goes.
struct Insert<'a> {
    library: &'a Library,
    stream: InsertPtr,
}

// === impl Connection ===

impl Connection {
    pub fn open(library: Library, options: &Options) -> Result<Self, OpenError> {
        let unwritable = |reason: String| OpenError::Directory { dir: options.dir.clone(), reason };
        std::fs::create_dir_all(&options.dir).map_err(|error| unwritable(error.to_string()))?;
        // Relative paths would be taken relative to where the configuration lies.
        let dir = options.dir.canonicalize().map_err(|error| unwritable(error.to_string()))?;
        let config = dir.join(CONFIG_FILE);
        std::fs::write(&config, options.config()).map_err(|error| unwritable(error.to_string()))?;

        let arguments = [
            "clickhouse".to_string(),
            format!("--path={}", dir.display()),
            format!("--config-file={}", config.display()),
        ];
        let arguments = arguments.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
        let arguments = arguments.map_err(|error| unwritable(error.to_string()))?;
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
        let count = i32::try_from(pointers.len()).unwrap_or_default();
        // SAFETY: `count` pointers to texts that outlive the call, which copies them.
        let connection = unsafe { (library.connect)(count, pointers.as_mut_ptr()) };
        // SAFETY: where it is not null it points to a connection.
        if connection.is_null() || unsafe { *connection }.is_null() {
            return Err(OpenError::Refused { dir: options.dir.clone() });
        }
        Ok(Self { library, connection, database: DEFAULT.into() })
    }

    pub fn run(&mut self, query: &Query) -> Result<Vec<u8>, Error> {
        let database = query.database.as_deref().unwrap_or(DEFAULT);
        if database != self.database {
            let name = database.replace('\\', "\\\\").replace('`', "\\`");
            self.query(&format!("USE `{name}`"), "Null", &[])?;
            self.database = database.to_owned();
        }
        match &query.rows {
            Some(rows) => self.insert(&query.sql, &query.format, rows),
            None => self.query(&query.sql, &query.format, &query.params),
        }
    }

    fn query(&self, sql: &str, format: &str, params: &[(String, String)]) -> Result<Vec<u8>, Error> {
        let column = |of: fn(&(String, String)) -> &String| -> (Vec<*const c_char>, Vec<usize>) {
            params.iter().map(|param| (of(param).as_ptr().cast(), of(param).len())).unzip()
        };
        let ((names, name_lengths), (values, value_lengths)) = (column(|param| &param.0), column(|param| &param.1));
        // SAFETY: the connection is open; every text goes with its length, and each of the four arrays has as many
        // entries as the last argument says; nothing of it is kept after the call.
        let result = unsafe {
            (self.library.query)(
                *self.connection,
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                params.len(),
            )
        };
        Answer { library: &self.library, result }.bytes()
    }

    fn insert(&self, sql: &str, format: &str, rows: &[u8]) -> Result<Vec<u8>, Error> {
        // SAFETY: the connection is open, and every text goes with its length.
        let stream = unsafe {
            (self.library.insert)(
                *self.connection,
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
            )
        };
        let insert = Insert { library: &self.library, stream };
        insert.check()?;
        // SAFETY: the stream is open; the bytes are copied.
        let state = unsafe { (self.library.append)(insert.stream, rows.as_ptr().cast(), rows.len()) };
        if state != SUCCESS {
            insert.check()?;
        }
        // SAFETY: the stream is open, and is finished once.
        let result = unsafe { (self.library.done)(insert.stream) };
        Answer { library: &self.library, result }.bytes()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: it was opened by `chdb_connect`, is closed once, and no result of it is alive.
        unsafe { (self.library.close)(self.connection) };
    }
}

// === impl Answer ===

impl Answer<'_> {
    fn bytes(self) -> Result<Vec<u8>, Error> {
        if self.result.is_null() {
            return Err(Error::refused("chDB gave neither a result nor an error".into()));
        }
        // SAFETY: the result is alive.
        if let Some(message) = unsafe { text((self.library.error)(self.result)) } {
            return Err(Error::refused(message));
        }
        // SAFETY: the buffer belongs to the result, which is alive, and is as long as it says.
        unsafe {
            let (buffer, length) = ((self.library.buffer)(self.result), (self.library.length)(self.result));
            Ok(if buffer.is_null() { Vec::new() } else { std::slice::from_raw_parts(buffer, length).to_vec() })
        }
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if !self.result.is_null() {
            // SAFETY: it is alive, and is destroyed once.
            unsafe { (self.library.destroy)(self.result) };
        }
    }
}

// === impl Insert ===

impl Insert<'_> {
    fn check(&self) -> Result<(), Error> {
        // SAFETY: the handle is never null and is alive.
        match unsafe { text((self.library.insert_error)(self.stream)) } {
            Some(message) => Err(Error::refused(message)),
            None => Ok(()),
        }
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: it is alive, and is destroyed once.
        unsafe { (self.library.destroy_insert)(self.stream) };
    }
}

/// A copy of a text of the library's.
///
/// # Safety
/// Null, or a text that ends with a zero.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if ptr::eq(pointer, ptr::null()) {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
