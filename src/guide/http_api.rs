//! How the HTTP API behaves beyond its OpenAPI document.
//!
//! * All addresses in the document and in Swagger UI are relative, so a proxy may add a path prefix. Give a generated client the
//!   address of the service.
//! * Tests generate, compile and run clients with default options: openapi-generator (Python, Go, Java, Rust, TypeScript), hey-api,
//!   openapi-python-client and progenitor.
//! * `DELETE …/task/{task_id}` returns 200 without a body. An empty body, `null`, `{}` and no body mean "no credentials". Send target
//!   credentials (`{"target_ak": "…", "target_sk": "…"}`, an extension) to abort unfinished multipart uploads in the background.
//! * `Idempotency-Key` (an extension; 1 to 255 visible ASCII characters, for example a UUID) makes a creation safe to repeat: the same
//!   request within 24 hours returns the first response and creates nothing, also after a restart, and also if the task was
//!   deleted. Another request with the same key is refused with 422 and `OMS.0064`. A key belongs to its project. The ledger stores a
//!   keyed hash of the request, never the request.
//! * `HEAD` is answered like `GET`, without the body. `Connection: close` is respected: a request that is pipelined behind it is not
//!   executed. Bytes that are not HTTP never reach the API; their responses (400, 408, 431) have no body.
//! * Requests of the two official clients of version 1 (Go and Python) are accepted: the whole bucket as `""`, `"/"` or `[""]`,
//!   `migrate_since` as digits in a string, an empty `smnInfo`, `charset=utf8`, and the paths of the Go client, which contain the
//!   project twice. Responses follow the reference: `id` is a number, which the Go client reads as text.
//! * `GET …/task` lists tasks; `GET …/tasks/count` counts them (`totalcount=true` still works).
//! * `oms openapi v1` prints the document, `--openapi 3.0` the rendering for older tools.
//! * `/livez` and `/readyz` are for supervisors.
