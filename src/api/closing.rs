//! Keeps `Connection: close`: what follows such a request on its connection is not looked at (RFC 9112, section 9.6).
//!
//! actix-http reads pipelined requests ahead, while an earlier one is answered, and remembers the wish of the last one
//! only. So it would execute a request that stands behind one with `Connection: close`. Here every connection has a
//! signal of its own, in the place where actix-web has only the one that ends the whole server. The signal sets the
//! connection to draining: the request in work is answered, with `Connection: close`, and nothing behind it begins.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;

/// One connection, as the middleware and the dispatcher of actix-http share it: both run in its one task.
#[derive(Default)]
struct Connection {
    /// A request asked to be the last one.
    asked: Cell<bool>,
    /// The dispatcher begins no further request.
    draining: Cell<bool>,
}

/// The connections of one thread.
///
/// actix-http calls [`Connections::opened`] and [`Connections::draining`] one right after the other for each connection;
/// nothing else joins the two.
#[derive(Clone, Default)]
pub struct Connections(Rc<RefCell<Option<Rc<Connection>>>>);

impl Connections {
    /// To be called for each new connection; `shared` is what its requests see.
    pub fn opened(&self, shared: &mut Extensions) {
        let connection = Rc::new(Connection::default());
        shared.insert(Rc::clone(&connection));
        *self.0.borrow_mut() = Some(connection);
    }

    /// The signal of the connection that was opened last: ready when `server` ends, or a request of it was the last one.
    pub fn draining<F: Future<Output = ()>>(&self, server: F) -> impl Future<Output = ()> + use<F> {
        let connection = self.0.borrow_mut().take().unwrap_or_default();
        async move {
            let mut server = pin!(server);
            poll_fn(|context| {
                if connection.asked.get() || server.as_mut().poll(context).is_ready() {
                    connection.draining.set(true);
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }
}

/// Middleware around everything: a request that wants to be the last one on its connection is worked on only when nothing
/// can begin behind it.
///
/// # Errors
/// Those of the service behind it.
pub async fn keep(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let connection = request.conn_data::<Rc<Connection>>().map(Rc::clone);
    if let Some(connection) = connection
        && is_last(request.version(), request.headers())
    {
        connection.asked.set(true);
        poll_fn(|context| {
            if connection.draining.get() {
                return Poll::Ready(());
            }
            // The dispatcher looks at the signal whenever its task is woken, before it polls this again.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
    next.call(request).await
}

/// Whether a request is the last one on its connection (RFC 9112, section 9.3).
fn is_last(version: Version, headers: &HeaderMap) -> bool {
    let has = |wanted: &str| {
        let lists = headers.get_all(header::CONNECTION);
        let mut options = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','));
        options.any(|option| option.trim().eq_ignore_ascii_case(wanted))
    };
    has("close") || (version < Version::HTTP_11 && !has("keep-alive"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(lists: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for list in lists {
            map.append(header::CONNECTION, HeaderValue::from_static(list));
        }
        map
    }

    #[test]
    fn close_wins_and_old_clients_close_unless_they_say_otherwise() {
        for (lists, modern, old) in [
            (&[][..], false, true),
            (&["keep-alive"], false, false),
            (&["Keep-Alive"], false, false),
            (&["close"], true, true),
            (&["CLOSE"], true, true),
            (&["keep-alive, close"], true, true),
            (&["close ,keep-alive"], true, true),
            (&["keep-alive", "close"], true, true),
            (&["upgrade"], false, true),
            (&["closed"], false, true),
            (&["x-close, keep-alive"], false, false),
        ] {
            let headers = headers(lists);
            assert_eq!(is_last(Version::HTTP_11, &headers), modern, "{lists:?}");
            assert_eq!(is_last(Version::HTTP_10, &headers), old, "{lists:?}");
        }
    }

    #[tokio::test]
    async fn the_signal_of_a_connection_is_its_own_or_that_of_the_server() {
        let connections = Connections::default();
        let mut shared = Extensions::new();
        connections.opened(&mut shared);
        let own = shared.get::<Rc<Connection>>().map(Rc::clone).unwrap();
        let mut signal = pin!(connections.draining(std::future::pending()));
        let mut ready = async || poll_fn(|c| Poll::Ready(signal.as_mut().poll(c).is_ready())).await;
        assert!(!ready().await && !own.draining.get());
        own.asked.set(true);
        assert!(ready().await && own.draining.get());

        connections.opened(&mut shared);
        let next = shared.get::<Rc<Connection>>().map(Rc::clone).unwrap();
        assert!(!next.asked.get());
        connections.draining(async {}).await;
        assert!(
            next.draining.get(),
            "a request must not wait for a signal that was given"
        );
    }
}
