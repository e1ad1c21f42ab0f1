//! Requests' bodies, read before a handler sees them: within a limit, within the budget for all bodies together, and in time.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::App;
use super::problem::Problem;
use crate::counts::Turned;
use crate::data::status;
use crate::limits::Limits;
use crate::listener::body::read;

/// Of a body that is too long, no more is taken.
const DROPPED_BYTES_MAX: usize = 64 << 20;

/// The router, whose handlers get bodies of no more than so many bytes.
pub(super) fn within(bytes_max: usize, shared: &App, router: Router<App>) -> Router<App> {
    router.layer(from_fn_with_state((shared.clone(), bytes_max), whole))
}

async fn whole(State((shared, bytes_max)): State<(App, usize)>, request: Request, next: Next) -> Response {
    let (head, mut body) = request.into_parts();
    let mut taken = shared.bodies.begin();
    match read(&mut body, bytes_max, shared.limits.body_timeout(), &mut taken).await {
        Ok(body) => next.run(Request::from_parts(head, body.into())).await,
        Err(why) => {
            shared.counts.turned.add(why);
            if why == Turned::TooLong {
                // In vain where it takes longer: then the connection ends without an answer being read.
                let _ = timeout(shared.limits.body_timeout(), drop_rest(body)).await;
            }
            Problem::new(status(why), detail(why, bytes_max, &shared.limits)).into_response()
        }
    }
}

/// Takes what still comes, and keeps none of it: whoever is still sending when the connection ends never reads why.
async fn drop_rest(mut body: Body) {
    let mut bytes = 0;
    while bytes < DROPPED_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn detail(why: Turned, bytes_max: usize, limits: &Limits) -> String {
    match why {
        Turned::TooLong => format!("the body is longer than {bytes_max} bytes"),
        Turned::Slow => format!("the body did not come within {} ms", limits.body_timeout_ms),
        Turned::Bodies => "other requests' bodies take all the memory there is for them".to_owned(),
        _ => "the body broke off".to_owned(),
    }
}
