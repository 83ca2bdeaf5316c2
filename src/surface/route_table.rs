//! Routes of endpoints: the only way to make them, so that a path that is served stands in the contract.
use crate::contract::endpoint::{Endpoint, Method};
use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodFilter, on},
};
use std::convert::Infallible;
use tower::Service;

/// Routes, and which endpoints they are of.
pub(crate) struct Routes<S> {
    router: Router<S>,
    served: Vec<&'static str>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet.
    pub(crate) fn new() -> Routes<S> {
        Routes { router: Router::new(), served: Vec::new() }
    }

    /// With an endpoint that this function answers.
    pub(crate) fn on<E: Endpoint, H: Handler<T, S>, T: 'static>(mut self, _: E, handler: H) -> Routes<S> {
        let method = match E::METHOD {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
        };
        self.served.push(E::NAME);
        self.router = self.router.route(E::PATH, on(method, handler));
        self
    }

    /// With a path that a service answers, whatever the method: the endpoint is the method that is usual.
    pub(crate) fn on_service<E: Endpoint, V>(mut self, _: E, service: V) -> Routes<S>
    where
        V: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        V::Response: IntoResponse,
        V::Future: Send + 'static,
    {
        self.served.push(E::NAME);
        self.router = self.router.route_service(E::PATH, service);
        self
    }

    /// The names of the endpoints, in their order.
    #[cfg(test)]
    pub(crate) fn served(&self) -> &[&'static str] {
        &self.served
    }

    /// The router of them.
    pub(crate) fn into_router(self) -> Router<S> {
        self.router
    }
}
