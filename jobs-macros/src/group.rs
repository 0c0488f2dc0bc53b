//! `#[cron_group]`: read, check, write.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Error;

use crate::{block::Block, errors::Errors, expand, model::Declared, validate::Group};

/// The block, and its registration or its errors.
pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut block = match Block::parse(item.clone()) {
        Ok(Some(block)) => block,
        Ok(None) => {
            let example =
                "`#[cron_group]` is for an `impl` block; write `#[cron_group(\"name\")] impl MyJobs { .. }`";
            let error = Error::new_spanned(item, example).into_compile_error();
            return quote!(#item #error);
        }
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut errors = Errors::default();
    let declared = Declared::read(args, &mut block, &mut errors);
    let group = Group::new(declared, &block, &mut errors);
    let handles = expand::handles(&group, &block);
    let rest = match errors.into_error() {
        None => expand::registration(&group, &block),
        Some(errors) => errors.into_compile_error(),
    };
    quote!(#block #handles #rest)
}
