//! An S3-compatible store, through `object_store`.

use std::{error::Error as _, io, sync::Arc};

pub use super::paced::Patience;
use futures::StreamExt as _;
use object_store::{
    BackoffConfig, Error, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::{Path, PathPart},
};
use tokio::runtime::Runtime;

use super::{Place, PlaceError, paced::Connector};
use crate::{site::S3Address, sys::Pace};

/// Backups in a store. Its verbs block.
pub struct S3 {
    store: AmazonS3,
    /// Folder within the bucket.
    base: Path,
    runtime: Runtime,
}

impl S3 {
    /// The store at an address; `folder` lies below that of the address. Nothing is asked of it yet.
    pub fn new(address: &S3Address, folder: &str, pace: Arc<Pace>, patience: Patience) -> io::Result<Self> {
        let https_only = address.endpoint.starts_with("https:");
        // With the bucket in the host name, the endpoint is the bucket's own.
        let endpoint = match address.endpoint.split_once("://") {
            Some((scheme, host)) if address.virtual_host => format!("{scheme}://{}.{host}", address.bucket),
            _ => address.endpoint.clone(),
        };
        let backoff = BackoffConfig { init_backoff: patience.pause, ..BackoffConfig::default() };
        let store = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_bucket_name(&address.bucket)
            .with_region(&address.region)
            .with_access_key_id(address.key.reveal())
            .with_secret_access_key(address.secret.reveal())
            .with_virtual_hosted_style_request(address.virtual_host)
            .with_allow_http(!https_only)
            .with_retry(RetryConfig { backoff, max_retries: patience.retries, retry_timeout: patience.retry_for })
            .with_http_connector(Connector { pace, patience, https_only })
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            store,
            base: below(&below(&Path::default(), &address.folder), folder),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Names of files and folders right here.
    pub fn folders(&self) -> Result<Vec<String>, PlaceError> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&self.base)));
        let listed = listed.map_err(failed("cannot list", self.base.as_ref()))?;
        let all = listed.common_prefixes.into_iter().chain(listed.objects.into_iter().map(|o| o.location));
        Ok(all.filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    fn path(&self, name: &str) -> Path {
        below(&self.base, name)
    }
}

fn below(base: &Path, name: &str) -> Path {
    base.parts().chain(name.split('/').filter(|p| !p.is_empty()).map(PathPart::from)).collect()
}

/// What the store itself said of a request, or why it could not be asked, in one line.
fn why(e: &Error) -> String {
    let mut deepest: &dyn std::error::Error = e;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let said = deepest.to_string();
    let element = |name: &str| {
        let (_, rest) = said.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let told = match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => said,
    };
    let line: String = told.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    match e {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            format!("the store refuses the access key ({line})")
        }
        _ => line,
    }
}

fn failed(what: &'static str, name: &str) -> impl FnOnce(Error) -> PlaceError {
    let name = name.to_owned();
    move |e| match &e {
        Error::NotFound { .. } if !e.source().is_some_and(|s| s.to_string().contains("NoSuchBucket")) => {
            PlaceError::Missing(name)
        }
        _ => PlaceError::Store { what, name, why: why(&e) },
    }
}

impl Place for S3 {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PlaceError> {
        let path = self.path(name);
        match self.runtime.block_on(self.store.put(&path, bytes.to_vec().into())) {
            Ok(_) => Ok(()),
            // There is nothing to be missing but the bucket.
            Err(e @ Error::NotFound { .. }) => {
                Err(PlaceError::Store { what: "cannot write", name: name.to_owned(), why: why(&e) })
            }
            Err(e) => Err(failed("cannot write", name)(e)),
        }
    }

    fn get(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), PlaceError> {
        let path = self.path(name);
        let got = self.runtime.block_on(async {
            let mut pieces = self.store.get(&path).await?.into_stream();
            while let Some(piece) = pieces.next().await {
                sink(&piece?);
            }
            Ok(())
        });
        got.map_err(failed("cannot read", name))
    }

    fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        match self.runtime.block_on(self.store.head(&self.path(name))) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed("cannot look at", name)(e)),
        }
    }

    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<(), PlaceError> {
        let under = self.path(folder);
        let listed = self.runtime.block_on(async {
            let mut all = self.store.list(Some(&under));
            while let Some(meta) = all.next().await {
                let meta = meta?;
                if let Some(name) = meta.location.prefix_match(&self.base) {
                    found(&name.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"), meta.size);
                }
            }
            Ok(())
        });
        listed.map_err(failed("cannot list", folder))
    }

    fn remove(&self, name: &str) -> Result<(), PlaceError> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed("cannot remove", name)(e)),
        }
    }
}
