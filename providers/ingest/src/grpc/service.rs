//! The methods: an event's message to the text that the core takes, receipts to messages.

use std::pin::Pin;
use std::sync::Arc;

use er_event::Problem;
use er_proto::cloudevents::{CloudEvent, CloudEventBatch};
use er_proto::v1::ingest_server::Ingest;
use er_proto::v1::{PublishBatchResponse, PublishResponse, PublishStreamResponse, Receipt};
use futures::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::edge::{Edge, Publish, EVENT};

use super::call::Call;
use super::status::{self, Message};
use super::stream::Publishing;

const BATCH: &str = "application/cloudevents-batch+json";

/// `eventrunner.v1.Ingest`
pub struct Service {
    edge: Arc<Edge>,
    stop: CancellationToken,
}

// === impl Service ===

impl Service {
    pub fn new(edge: Arc<Edge>, stop: CancellationToken) -> Self {
        Self { edge, stop }
    }

    async fn take(&self, call: &Call, content_type: &str, text: String) -> Result<Vec<Receipt>, Problem> {
        call.rooms.shrink(text.len());
        let client = call.client.clone();
        let publish =
            Publish { content_type: Some(content_type.into()), body: text.into(), client, ..Publish::default() };
        let ids = self.edge.publish(&call.principal, publish).await.map_err(status::unplaced)?;
        Ok(ids.into_iter().map(|id| Receipt { id }).collect())
    }
}

#[tonic::async_trait]
impl Ingest for Service {
    type PublishStreamStream = Pin<Box<dyn Stream<Item = Result<PublishStreamResponse, Status>> + Send>>;

    async fn publish(&self, request: Request<CloudEvent>) -> Result<Response<PublishResponse>, Status> {
        let call = Call::of(&request)?;
        let told = |problem: Problem| status::of(&problem, Message::Event);
        let text = er_proto::json(&request.into_inner()).map_err(told)?;
        let receipt = self.take(&call, EVENT, text).await.map_err(told)?.pop();
        Ok(Response::new(PublishResponse { receipt }))
    }

    async fn publish_batch(&self, request: Request<CloudEventBatch>) -> Result<Response<PublishBatchResponse>, Status> {
        let call = Call::of(&request)?;
        let told = |problem: Problem| status::of(&problem, Message::Batch);
        let text = er_proto::json_batch(&request.into_inner().events).map_err(told)?;
        let receipts = self.take(&call, BATCH, text).await.map_err(told)?;
        Ok(Response::new(PublishBatchResponse { receipts }))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<CloudEvent>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let call = Call::of(&request)?;
        let publishing = Publishing::new(Arc::clone(&self.edge), call, request.into_inner(), self.stop.clone());
        Ok(Response::new(Box::pin(publishing.answers())))
    }
}
